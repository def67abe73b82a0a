<?php
// The shop's customers and jobs, in a file of JSON where a real one would have a database. The pages' processes and the
// worker share it.

declare(strict_types=1);

require __DIR__ . '/vidcache.php';
require __DIR__ . '/hubspot.php';

final class Shop
{
    public readonly int $portal;
    public readonly bool $usual;
    private readonly string $data;
    private ?Vidcache $cache = null;

    public function __construct()
    {
        $this->data = getenv('DATA_DIR') ?: __DIR__ . '/storage';
        $this->portal = (int) (getenv('HUBSPOT_PORTAL') ?: 62515);
        $this->usual = getenv('SNIPPET') === 'usual';
    }

    public function cache(): Vidcache
    {
        return $this->cache ??= new Vidcache(
            "$this->data/hubspot.vidcache", $this->portal, getenv('VIDCACHE_SECRET') ?: 'a secret that a real shop keeps elsewhere',
            1000 * (int) (getenv('PAGE_DEADLINE') ?: 10),
        );
    }

    /** @return array{id: int, login: string, email: string}|null */
    public function user(string $field, int|string|null $value): ?array
    {
        foreach ($this->state()['users'] as $user) {
            if ($user[$field] === $value) {
                return $user;
            }
        }
        return null;
    }

    public function pending(): int
    {
        return count($this->state()['jobs']);
    }

    /** The order is the rule's: begin, then the app's own commit, which enqueues the job too. */
    public function changeEmail(int $id, string $email): void
    {
        $change = $this->usual ? 0 : $this->cache()->beginEmailChange($id);
        try {
            $this->transaction(function (array &$state) use ($id, $email, $change): void {
                foreach ($state['users'] as &$user) {
                    if ($user['id'] === $id) {
                        $user['email'] = $email;
                    }
                }
                $this->enqueue($state, $id, $change);
            });
        } catch (Throwable $error) {
            if ($change !== 0) {
                $this->cache()->abandonEmailChange($id, $change);
            }
            throw $error;
        }
    }

    /**
     * Makes the customers that are not there yet, and their contacts; takes up the changes that a crash left behind.
     */
    public function prepare(int $count): void
    {
        $stale = $this->cache()->staleChanges(0);
        $this->transaction(function (array &$state) use ($count, $stale): void {
            for ($id = count($state['users']) + 1; $id <= $count; $id++) {
                $state['users'][] = ['id' => $id, 'login' => "user$id", 'email' => "user$id@shop.test"];
            }
            foreach ($stale as $change => $user) {
                if (!in_array($change, array_column($state['jobs'], 'change'), true)) {
                    $this->enqueue($state, (int) $user, $change);
                }
            }
        });
        foreach ($this->state()['users'] as $user) {
            if ($this->cache()->resolve($user['id']) === 0) {
                $this->cache()->record($user['id'], $this->hubspot()->tell(0, $user['email']));
            }
        }
    }

    /**
     * The worker's loop: one job at a time, when its quiet period is over. Until it succeeds the user's pages give the
     * id alone.
     */
    public function work(): never
    {
        for (;;) {
            foreach ($this->state()['jobs'] as $job) {
                if ($job['due'] > microtime(true)) {
                    continue;
                }
                try {
                    $this->perform($job['user'], $job['change']);
                    $this->transaction(function (array &$state) use ($job): void {
                        $state['jobs'] = array_values(array_filter($state['jobs'], fn ($other) => $other['id'] !== $job['id']));
                    });
                } catch (HubspotError | VidcacheError $error) {
                    error_log("user {$job['user']}: {$error->getMessage()}; trying again");
                    sleep(5);
                }
            }
            usleep(50_000);
        }
    }

    private function perform(int $id, int $change): void
    {
        // Asked again: HubSpot must not be told of a change that another job has finished.
        if ($change !== 0 && !$this->cache()->isChangeOutstanding($id, $change)) {
            return;
        }
        // The email as it is now: of two jobs, the later one tells of the later email.
        $answer = $this->hubspot()->tell($this->cache()->resolve($id), $this->user('id', $id)['email']);
        $this->cache()->record($id, $answer, $change);
    }

    private function hubspot(): Hubspot
    {
        return new Hubspot(getenv('HUBSPOT_API') ?: 'https://api.hubapi.com', getenv('HUBSPOT_TOKEN') ?: '');
    }

    private function enqueue(array &$state, int $user, int $change): void
    {
        // Asked each time: a process with a longer page deadline may have come meanwhile.
        $quiet = $this->usual ? 0 : (float) (getenv('QUIET_PERIOD') ?: $this->cache()->quietPeriodMs() / 1000);
        $due = microtime(true) + $quiet;
        $state['jobs'][] = ['id' => bin2hex(random_bytes(8)), 'user' => $user, 'change' => $change, 'due' => $due];
    }

    private function state(): array
    {
        $content = @file_get_contents("$this->data/shop.json");
        return $content === false ? ['users' => [], 'jobs' => []] : json_decode($content, true, 16, JSON_THROW_ON_ERROR);
    }

    private function transaction(callable $work): void
    {
        $lock = fopen("$this->data/shop.lock", 'c');
        flock($lock, LOCK_EX);
        $state = $this->state();
        $work($state);
        file_put_contents("$this->data/shop.json.new", json_encode($state, JSON_THROW_ON_ERROR));
        rename("$this->data/shop.json.new", "$this->data/shop.json");
        fclose($lock);
    }
}
