<?php
// vidcache.h through PHP's FFI: as much of it as a shop needs. PHP keeps nothing from one request to the next, so each
// opens the file and frees it: that is what costs here (see bench.php), and what a server that stays (FrankenPHP,
// RoadRunner) saves.

declare(strict_types=1);

final class VidcacheError extends RuntimeException
{
    /** @param string $name busy, vid_taken, … */
    public function __construct(public readonly string $name, string $message)
    {
        parent::__construct("vidcache: $name: $message");
    }
}

final class Vidcache
{
    private const ABI_VERSION = 1;

    private const DECLARATIONS = <<<'C'
        typedef struct vidcache_handle vidcache_handle;
        typedef struct { size_t size; int32_t code; int64_t vid; uint64_t retry_after_ms; const char *message; size_t message_len; } vidcache_error;
        typedef struct {
          size_t size; const char *secret; size_t secret_len; const char *loader_host; size_t loader_host_len;
          uint64_t memory; uint32_t busy_timeout_ms; uint32_t page_deadline_ms; uint32_t synchronous;
          uint32_t old_secrets_len; const void *old_secrets;
        } vidcache_options;
        typedef struct { uint32_t kind; int64_t id; const char *text; size_t text_len; } vidcache_user;
        typedef struct { int64_t vid; int64_t external_id; } vidcache_identity;
        typedef struct { int64_t vid; int32_t created; bool canonical; bool email_observed; } vidcache_recorded;
        typedef struct { int64_t token; int64_t begun_at; uint32_t user_len; char user[256]; } vidcache_stale_change;
        uint32_t vidcache_abi_version(void);
        const char *vidcache_error_name(int32_t code);
        int32_t vidcache_last_error(vidcache_error *error);
        int32_t vidcache_options_init(vidcache_options *options);
        int32_t vidcache_open(const char *path, size_t path_len, int64_t portal, const vidcache_options *options, vidcache_handle **handle);
        void vidcache_free(vidcache_handle **handle);
        int32_t vidcache_resolve(const vidcache_handle *handle, const vidcache_user *user, vidcache_identity *identity);
        int32_t vidcache_snippet(const vidcache_handle *handle, const vidcache_user *user, const char *email, size_t email_len,
          const char *nonce, size_t nonce_len, char *buffer, size_t capacity, size_t *length);
        int32_t vidcache_record(const vidcache_handle *handle, const vidcache_user *user, const char *answer, size_t answer_len,
          int64_t change, vidcache_recorded *recorded);
        int32_t vidcache_begin_email_change(const vidcache_handle *handle, const vidcache_user *user, int64_t *token);
        int32_t vidcache_abandon_email_change(const vidcache_handle *handle, const vidcache_user *user, int64_t token);
        int32_t vidcache_is_change_outstanding(const vidcache_handle *handle, const vidcache_user *user, int64_t token, bool *outstanding);
        int32_t vidcache_quiet_period(const vidcache_handle *handle, uint64_t *milliseconds);
        int32_t vidcache_stale_changes(const vidcache_handle *handle, uint64_t older_than_ms, vidcache_stale_change *changes,
          size_t capacity, size_t *count);
        C;

    private FFI $c;
    private FFI\CData $handle;
    private FFI\CData $user;
    private FFI\CData $identity;
    private FFI\CData $buffer;
    private FFI\CData $length;

    public function __construct(string $path, int $portal, string $secret, int $pageDeadlineMs = 10_000)
    {
        $this->c = FFI::cdef(self::DECLARATIONS, getenv('VIDCACHE_LIBRARY') ?: 'libvidcache.so.1');
        if ($this->c->vidcache_abi_version() !== self::ABI_VERSION) {
            throw new RuntimeException('libvidcache has another ABI than this is written for');
        }
        $this->user = $this->c->new('vidcache_user');
        $this->identity = $this->c->new('vidcache_identity');
        $this->buffer = $this->c->new('char[4096]');
        $this->length = $this->c->new('size_t');
        $options = $this->c->new('vidcache_options');
        $options->size = FFI::sizeof($options);
        $this->check($this->c->vidcache_options_init(FFI::addr($options)));
        $kept = $this->c->new('char[' . strlen($secret) . ']');
        FFI::memcpy($kept, $secret, strlen($secret));
        $options->secret = $this->c->cast('char *', $kept);
        $options->secret_len = strlen($secret);
        $options->page_deadline_ms = $pageDeadlineMs;
        $this->handle = $this->c->new('vidcache_handle *');
        $this->check($this->c->vidcache_open($path, strlen($path), $portal, FFI::addr($options), FFI::addr($this->handle)));
    }

    public function __destruct()
    {
        if (isset($this->handle)) {
            $this->c->vidcache_free(FFI::addr($this->handle));
        }
    }

    /** @return int the contact; 0: none */
    public function resolve(int $id): int
    {
        $this->check($this->c->vidcache_resolve($this->handle, $this->user($id), FFI::addr($this->identity)));
        return $this->identity->vid;
    }

    public function snippet(int $id, ?string $email, ?string $nonce = null): string
    {
        $this->check($this->c->vidcache_snippet(
            $this->handle, $this->user($id), $email, strlen($email ?? ''), $nonce, strlen($nonce ?? ''),
            $this->buffer, FFI::sizeof($this->buffer), FFI::addr($this->length),
        ));
        return FFI::string($this->buffer, $this->length->cdata);
    }

    /** @param int $change the token of the change that this finishes; 0: none */
    public function record(int $id, string $answer, int $change = 0): void
    {
        $recorded = $this->c->new('vidcache_recorded');
        $this->check($this->c->vidcache_record($this->handle, $this->user($id), $answer, strlen($answer), $change, FFI::addr($recorded)));
    }

    /** @return int the token */
    public function beginEmailChange(int $id): int
    {
        $token = $this->c->new('int64_t');
        $this->check($this->c->vidcache_begin_email_change($this->handle, $this->user($id), FFI::addr($token)));
        return $token->cdata;
    }

    public function abandonEmailChange(int $id, int $change): void
    {
        $this->check($this->c->vidcache_abandon_email_change($this->handle, $this->user($id), $change));
    }

    public function isChangeOutstanding(int $id, int $change): bool
    {
        $outstanding = $this->c->new('bool');
        $this->check($this->c->vidcache_is_change_outstanding($this->handle, $this->user($id), $change, FFI::addr($outstanding)));
        return $outstanding->cdata;
    }

    /** How many milliseconds after the beginning of a change HubSpot may be told of it. */
    public function quietPeriodMs(): int
    {
        $milliseconds = $this->c->new('uint64_t');
        $this->check($this->c->vidcache_quiet_period($this->handle, FFI::addr($milliseconds)));
        return $milliseconds->cdata;
    }

    /** @return array<int, string> the user of each token, at most a hundred */
    public function staleChanges(int $olderThanMs): array
    {
        $rows = $this->c->new('vidcache_stale_change[100]');
        $this->check($this->c->vidcache_stale_changes($this->handle, $olderThanMs, $rows, 100, FFI::addr($this->length)));
        $users = [];
        for ($at = 0; $at < $this->length->cdata; $at++) {
            $users[$rows[$at]->token] = FFI::string($rows[$at]->user, $rows[$at]->user_len);
        }
        return $users;
    }

    private function user(int $id): FFI\CData
    {
        $this->user->kind = 1;
        $this->user->id = $id;
        return FFI::addr($this->user);
    }

    private function check(int $result): void
    {
        if ($result === 0) {
            return;
        }
        $error = $this->c->new('vidcache_error');
        $error->size = FFI::sizeof($error);
        $this->c->vidcache_last_error(FFI::addr($error));
        throw new VidcacheError($this->c->vidcache_error_name($result), FFI::string($error->message, $error->message_len));
    }
}
