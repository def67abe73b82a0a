/* A program that was built with a header kept in tests/c/headers, and runs with today's library. Behind each of its
 * structs lies what must not be touched. The program is written to the first header, and stays as it is. */
#include "check.h"

/* STACK(type) : one of it, and what lies behind it. */
#define STACK(type) \
  struct { \
    type it; \
    unsigned char behind[256]; \
  }
#define LAY(stack) memset(&(stack), 0xa5, sizeof(stack))
#define UNTOUCHED(stack) untouched((stack).behind, sizeof(stack).behind, __LINE__)

static void untouched(const unsigned char *behind, size_t len, int line)
{
  for (size_t i = 0; i < len; i++) {
    if (behind[i] == 0xa5) continue;
    fprintf(stderr, "%s:%d: byte %zu behind the struct was written\n", __FILE__, line, i);
    abort();
  }
}

static vidcache_handle *open_with_every_option(const char *folder)
{
  STACK(vidcache_options) options;
  LAY(options);
  options.it.size = sizeof options.it;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options.it));
  UNTOUCHED(options);
  EQUAL(sizeof options.it, options.it.size);
  EQUAL(32 << 20, options.it.memory);
  EQUAL(5000, options.it.busy_timeout_ms);
  EQUAL(10000, options.it.page_deadline_ms);
  EQUAL(VIDCACHE_SYNCHRONOUS_FULL, options.it.synchronous);
  CHECK(options.it.secret == NULL && options.it.loader_host == NULL && options.it.old_secrets == NULL);
  vidcache_secret older = {"what the secret was before", 26};
  options.it.secret = SECRET;
  options.it.secret_len = strlen(SECRET);
  options.it.loader_host = "js-eu1.hs-scripts.com";
  options.it.loader_host_len = 21;
  options.it.memory = 1 << 20;
  options.it.busy_timeout_ms = 1000;
  options.it.page_deadline_ms = 60000;
  options.it.synchronous = VIDCACHE_SYNCHRONOUS_NORMAL;
  options.it.old_secrets = &older;
  options.it.old_secrets_len = 1;
  const char *path = path_in(folder, "kept");
  vidcache_handle *cache = NULL;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options.it, &cache));
  uint64_t period = 0;
  EQUAL(VIDCACHE_OK, vidcache_quiet_period(cache, &period));
  EQUAL(65000, period);
  return cache;
}

static void records_and_decides(vidcache_handle *cache)
{
  vidcache_user user = vidcache_user_id(42);
  STACK(vidcache_recorded) recorded;
  STACK(vidcache_identity) identity;
  STACK(vidcache_decision) decision;
  STACK(vidcache_stale_change) change;
  LAY(recorded);
  LAY(identity);
  LAY(decision);
  LAY(change);
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded.it));
  UNTOUCHED(recorded);
  CHECK(recorded.it.vid == 901 && recorded.it.canonical && recorded.it.email_observed);
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity.it));
  UNTOUCHED(identity);
  CHECK(identity.it.vid == 901 && identity.it.external_id == 901);
  EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR("ann@shop.test"), &decision.it));
  UNTOUCHED(decision);
  EQUAL(VIDCACHE_REASON_AGREED, decision.it.reason);
  CHECK(strcmp(decision.it.email, "ann@shop.test") == 0);
  vidcache_question questions[2] = {{user, "ann@shop.test", 13}, {vidcache_user_text("7", 1), NULL, 0}};
  vidcache_decision decisions[2];
  EQUAL(VIDCACHE_OK, vidcache_decide_many(cache, questions, 2, decisions));
  EQUAL(VIDCACHE_REASON_AGREED, decisions[0].reason);
  EQUAL(VIDCACHE_REASON_NOT_LINKED, decisions[1].reason);
  int64_t token = 0;
  size_t count = 0;
  EQUAL(VIDCACHE_OK, vidcache_begin_email_change(cache, &user, &token));
  EQUAL(VIDCACHE_OK, vidcache_stale_changes(cache, 0, &change.it, 1, &count));
  UNTOUCHED(change);
  CHECK(count <= 1);
  EQUAL(VIDCACHE_OK, vidcache_abandon_email_change(cache, &user, token));
}

static void imports_and_takes_webhooks(vidcache_handle *cache)
{
  vidcache_import_row rows[2] = {{vidcache_user_id(1), 1, NULL, 0, 0}, {vidcache_user_id(2), 2, NULL, 0, 0}};
  STACK(vidcache_import_report) imported;
  STACK(vidcache_webhook_report) told;
  LAY(imported);
  LAY(told);
  EQUAL(VIDCACHE_OK, vidcache_import(cache, rows, 2, &imported.it));
  UNTOUCHED(imported);
  CHECK(imported.it.imported == 2 && imported.it.vid_taken == 0);
  EQUAL(VIDCACHE_OK, vidcache_apply_webhook(cache, STR("[]"), &told.it));
  UNTOUCHED(told);
  CHECK(told.it.applied == 0 && told.it.ignored == 0);
}

static void asks_what_it_did_and_why_it_failed(vidcache_handle *cache)
{
  STACK(vidcache_stats) stats;
  STACK(vidcache_error) error;
  LAY(stats);
  LAY(error);
  vidcache_user taken = vidcache_user_id(43);
  EQUAL(VIDCACHE_VID_TAKEN, vidcache_link(cache, &taken, 901));
  error.it.size = sizeof error.it;
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error.it));
  UNTOUCHED(error);
  EQUAL(sizeof error.it, error.it.size);
  CHECK(error.it.code == VIDCACHE_VID_TAKEN && error.it.vid == 901 && error.it.retry_after_ms == 0);
  CHECK(strlen(error.it.message) == error.it.message_len);
  stats.it.size = sizeof stats.it;
  EQUAL(VIDCACHE_OK, vidcache_get_stats(cache, &stats.it));
  UNTOUCHED(stats);
  EQUAL(sizeof stats.it, stats.it.size);
  EQUAL(VIDCACHE_VID_TAKEN, stats.it.last_error);
  CHECK(stats.it.bytes > 0 && stats.it.revision > 0 && stats.it.fallback == NULL && stats.it.fallback_len == 0);
}

static void checks_a_signature(void)
{
  STACK(vidcache_signed_request) request;
  memset(&request, 0xa5, sizeof request);
  memset(&request.it, 0, sizeof request.it);
  request.it.size = sizeof request.it;
  EQUAL(VIDCACHE_INVALID_SIGNATURE, vidcache_verify_signature(STR("client secret"), &request.it, 0));
  UNTOUCHED(request);
}

int main(int count, char **arguments)
{
  if (count != 2) return fprintf(stderr, "usage: kept FOLDER\n"), 2;
  EQUAL(VIDCACHE_ABI_VERSION, vidcache_abi_version());
  vidcache_handle *cache = open_with_every_option(arguments[1]);
  records_and_decides(cache);
  imports_and_takes_webhooks(cache);
  asks_what_it_did_and_why_it_failed(cache);
  vidcache_free(&cache);
  checks_a_signature();
  return 0;
}
