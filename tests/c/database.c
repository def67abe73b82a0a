/* The exchanges of the tables in the app's own PostgreSQL, with a server that is made up: what goes over the edge. On a
 * real one examples/go/tables_test.go has them. */
#include "check.h"

static vidcache_database *tables(uint64_t max_age_ms)
{
  const vidcache_options options = with_secret();
  vidcache_database *database = NULL;
  EQUAL(VIDCACHE_OK, vidcache_database_open(STR("shop"), PORTAL, &options, max_age_ms, &database));
  return database;
}

static vidcache_work work(uint32_t kind, const vidcache_user *user)
{
  vidcache_work asked;
  memset(&asked, 0, sizeof asked);
  asked.size = sizeof asked;
  asked.kind = kind;
  asked.user = user;
  return asked;
}

static vidcache_exchange *begun(const vidcache_database *database, const vidcache_work *asked, vidcache_step *step)
{
  vidcache_exchange *exchange = NULL;
  EQUAL(VIDCACHE_OK, vidcache_database_begin(database, asked, &exchange));
  memset(step, 0, sizeof *step);
  step->size = sizeof *step;
  EQUAL(VIDCACHE_OK, vidcache_exchange_answered(exchange, NULL, 0, step));
  return exchange;
}

static int begins(const vidcache_step *step, const char *text)
{
  CHECK(step->statement != NULL && strlen(step->statement) == step->statement_len);
  return strncmp(step->statement, text, strlen(text)) == 0;
}

static vidcache_outcome outcome_of(const vidcache_exchange *exchange)
{
  vidcache_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  outcome.size = sizeof outcome;
  EQUAL(VIDCACHE_OK, vidcache_exchange_outcome(exchange, &outcome));
  return outcome;
}

static void a_page_that_nobody_answers_goes_out_and_says_why(vidcache_database *database, const vidcache_user *user)
{
  vidcache_work asked = work(VIDCACHE_WORK_PAGE, user);
  asked.form = VIDCACHE_FORM_SNIPPET;
  asked.bytes = "ann@shop.test";
  asked.bytes_len = strlen(asked.bytes);
  asked.nonce = "n0nce";
  asked.nonce_len = strlen(asked.nonce);
  vidcache_step step;
  vidcache_exchange *exchange = begun(database, &asked, &step);
  CHECK(step.asks == 1 && step.wait_ms == 0 && strstr(step.statement, "\"shop\".\"vidcache_links\"") != NULL);
  CHECK(step.parameters[0] != NULL && strspn(step.parameters[0], "0123456789abcdef") == strlen(step.parameters[0]));
  vidcache_outcome outcome;
  memset(&outcome, 0, sizeof outcome);
  outcome.size = sizeof outcome;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_outcome(exchange, &outcome));
  EQUAL(VIDCACHE_OK, vidcache_exchange_refused(exchange, NULL, 0, &step));
  CHECK(step.statement == NULL && step.statement_len == 0 && step.parameters[0] == NULL);
  outcome = outcome_of(exchange);
  EQUAL(VIDCACHE_STORAGE, outcome.why);
  vidcache_error error;
  error.size = sizeof error;
  EQUAL(VIDCACHE_OK, vidcache_last_error(&error));
  CHECK(error.code == VIDCACHE_STORAGE && error.message_len > 0);
  CHECK(outcome.decision->reason == VIDCACHE_REASON_STALE && outcome.decision->email_len == 0);
  CHECK(strlen(outcome.text) == outcome.text_len && strstr(outcome.text, "nonce=\"n0nce\"") != NULL);
  CHECK(outcome.recorded == NULL && outcome.conflicts == NULL && outcome.count == 0);
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_answered(exchange, NULL, 0, &step));
  vidcache_exchange_free(&exchange);
  CHECK(exchange == NULL);
  vidcache_exchange_free(&exchange);

  asked.user = NULL;
  exchange = begun(database, &asked, &step);
  CHECK(step.statement == NULL && outcome_of(exchange).decision->reason == VIDCACHE_REASON_NOT_LINKED);
  vidcache_exchange_free(&exchange);
  asked.kind = VIDCACHE_WORK_SIGNED_OUT;
  asked.form = VIDCACHE_FORM_DATA;
  exchange = begun(database, &asked, &step);
  CHECK(step.statement == NULL && strstr(outcome_of(exchange).text, "\"out\":true") != NULL);
  vidcache_exchange_free(&exchange);
}

static void a_deadlock_begins_again_and_an_answer_that_is_none_takes_back(vidcache_database *database, const vidcache_user *user)
{
  vidcache_work asked = work(VIDCACHE_WORK_RECORD, user);
  asked.bytes = ANSWER("901", "ann@shop.test", "00");
  asked.bytes_len = strlen(asked.bytes);
  vidcache_step step;
  vidcache_exchange *exchange = begun(database, &asked, &step);
  CHECK(begins(&step, "BEGIN") && step.asks == 0 && step.parameters[0] == NULL);
  EQUAL(VIDCACHE_OK, vidcache_exchange_refused(exchange, STR("40P01"), &step));
  CHECK(begins(&step, "ROLLBACK"));
  EQUAL(VIDCACHE_OK, vidcache_exchange_answered(exchange, NULL, 0, &step));
  CHECK(begins(&step, "BEGIN") && step.wait_ms >= 10);
  EQUAL(VIDCACHE_OK, vidcache_exchange_answered(exchange, NULL, 0, &step));
  CHECK(step.asks == 1);
  EQUAL(VIDCACHE_OK, vidcache_exchange_answered(exchange, STR("{\"head\":1}"), &step));
  CHECK(begins(&step, "ROLLBACK"));
  EQUAL(VIDCACHE_TABLES_UNUSABLE, vidcache_exchange_answered(exchange, NULL, 0, &step));
  vidcache_exchange_free(&exchange);

  asked.in_transaction = 1;
  exchange = begun(database, &asked, &step);
  CHECK(begins(&step, "SAVEPOINT vidcache"));
  /* The tables may go first. */
  vidcache_database_free(&database);
  EQUAL(VIDCACHE_OK, vidcache_exchange_refused(exchange, STR("42P01"), &step));
  CHECK(begins(&step, "ROLLBACK TO SAVEPOINT vidcache"));
  EQUAL(VIDCACHE_TABLES_UNUSABLE, vidcache_exchange_answered(exchange, NULL, 0, &step));
  vidcache_exchange_free(&exchange);
}

static void what_cannot_be_right_is_a_code(vidcache_database *database, const vidcache_user *user)
{
  vidcache_exchange *exchange = NULL;
  vidcache_work asked = work(0, user);
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, &asked, &exchange));
  asked.kind = VIDCACHE_WORK_BEGIN;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(NULL, &asked, &exchange));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, NULL, &exchange));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, &asked, NULL));
  asked.in_transaction = 2;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, &asked, &exchange));
  asked.in_transaction = 0;
  asked.size = 3;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, &asked, &exchange));
  asked = work(VIDCACHE_WORK_FORGET, NULL);
  EQUAL(VIDCACHE_INVALID_USER_KEY, vidcache_database_begin(database, &asked, &exchange));
  asked = work(VIDCACHE_WORK_LINK, user);
  EQUAL(VIDCACHE_INVALID_VID, vidcache_database_begin(database, &asked, &exchange));
  asked.kind = VIDCACHE_WORK_ABANDON;
  EQUAL(VIDCACHE_UNKNOWN_CHANGE, vidcache_database_begin(database, &asked, &exchange));
  asked.kind = VIDCACHE_WORK_RECORD;
  EQUAL(VIDCACHE_INVALID_ANSWER, vidcache_database_begin(database, &asked, &exchange));
  asked.kind = VIDCACHE_WORK_APPLY_WEBHOOK;
  EQUAL(VIDCACHE_INVALID_WEBHOOK, vidcache_database_begin(database, &asked, &exchange));
  asked.kind = VIDCACHE_WORK_PAGE;
  asked.form = 9;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_begin(database, &asked, &exchange));
  asked = work(VIDCACHE_WORK_EXPLAIN, user);
  asked.bytes = "no email";
  asked.bytes_len = 8;
  EQUAL(VIDCACHE_INVALID_EMAIL, vidcache_database_begin(database, &asked, &exchange));
  CHECK(exchange == NULL);

  vidcache_step step;
  memset(&step, 0, sizeof step);
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_answered(NULL, NULL, 0, &step));
  asked = work(VIDCACHE_WORK_QUIET_PERIOD, NULL);
  exchange = begun(database, &asked, &step);
  step.size = 0;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_answered(exchange, NULL, 0, &step));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_refused(exchange, NULL, 0, NULL));
  step.size = sizeof step;
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_exchange_answered(exchange, NULL, 1, &step));
  EQUAL(VIDCACHE_STORAGE, vidcache_exchange_refused(exchange, STR("08006"), &step));
  vidcache_exchange_free(&exchange);

  vidcache_database *none = NULL;
  vidcache_options options;
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  EQUAL(VIDCACHE_INVALID_SECRET, vidcache_database_open(NULL, 0, PORTAL, &options, 0, &none));
  options.secret = SECRET;
  options.secret_len = strlen(SECRET);
  EQUAL(VIDCACHE_INVALID_PORTAL, vidcache_database_open(NULL, 0, 0, &options, 0, &none));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_open(NULL, 0, PORTAL, &options, 999, &none));
  EQUAL(VIDCACHE_INVALID_OPTION, vidcache_database_open(STR(""), PORTAL, &options, 0, &none));
  CHECK(none == NULL);
}

int main(void)
{
  const vidcache_user user = vidcache_user_id(42);
  vidcache_text *made = NULL;
  const char *bytes = NULL;
  size_t length = 0;
  EQUAL(VIDCACHE_OK, vidcache_database_migration(STR("shop"), &made));
  EQUAL(VIDCACHE_OK, vidcache_text_get(made, &bytes, &length));
  CHECK(length > 1000 && memmem(bytes, length, STR("CREATE TABLE \"shop\".\"vidcache_meta\"")) != NULL);
  vidcache_text_free(&made);

  vidcache_database *database = tables(0);
  what_cannot_be_right_is_a_code(database, &user);
  a_page_that_nobody_answers_goes_out_and_says_why(database, &user);
  vidcache_database *kept = tables(1000);
  a_page_that_nobody_answers_goes_out_and_says_why(kept, &user);
  vidcache_database_free(&kept);
  a_deadlock_begins_again_and_an_answer_that_is_none_takes_back(database, &user);
  puts("database: sound");
  return 0;
}
