<?php
// HubSpot's contacts API, v3: as much of it as a shop needs.

declare(strict_types=1);

/** HubSpot answered with an error. Says which, and nothing of the answer: HubSpot's messages quote emails. */
final class HubspotError extends RuntimeException
{
    public function __construct(public readonly int $status)
    {
        parent::__construct("HubSpot answered with $status");
    }
}

final class Hubspot
{
    public function __construct(private readonly string $url, private readonly string $token)
    {
    }

    /** Tells HubSpot of a user's email: their contact's, or a new one's (0). Returns the body of the answer. */
    public function tell(int $vid, string $email): string
    {
        if ($vid === 0) {
            return $this->create($email);
        }
        try {
            return $this->call('PATCH', "/$vid", $email);
        } catch (HubspotError $error) {
            return match ($error->status) {
                404 => $this->create($email),
                // Another contact has this email. What this one has is recorded, which ends the change; pages give the
                // id alone.
                409 => $this->call('GET', "/$vid?properties=email"),
                default => throw $error,
            };
        }
    }

    private function create(string $email): string
    {
        try {
            return $this->call('POST', '', $email);
        } catch (HubspotError $error) {
            if ($error->status !== 409) {
                throw $error;
            }
            return $this->find($email);
        }
    }

    /** By a batch of one: an address with an email in it ends up in logs. */
    private function find(string $email): string
    {
        $batch = ['idProperty' => 'email', 'inputs' => [['id' => $email]], 'properties' => ['email']];
        return $this->send('POST', '/batch/read', $batch);
    }

    private function call(string $method, string $path, ?string $email = null): string
    {
        return $this->send($method, $path, $email === null ? null : ['properties' => ['email' => $email]]);
    }

    private function send(string $method, string $path, ?array $content): string
    {
        $answer = @file_get_contents($this->url . '/crm/v3/objects/contacts' . $path, false, stream_context_create(['http' => [
            'method' => $method,
            'header' => "Authorization: Bearer $this->token\r\nContent-Type: application/json\r\nConnection: close",
            'content' => $content === null ? '' : json_encode($content, JSON_THROW_ON_ERROR),
            'timeout' => 10,
            'ignore_errors' => true,
        ]]));
        $status = (int) (explode(' ', $http_response_header[0] ?? 'none 0')[1]);
        if ($answer === false || $status < 200 || $status > 299) {
            throw new HubspotError($status);
        }
        return $answer;
    }
}
