// vidcache.hpp: what it adds to the C functions.
#include <vidcache.hpp>

#include "check.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <utility>

static_assert(!std::is_copy_constructible_v<vidcache::cache> && std::is_nothrow_move_constructible_v<vidcache::cache>);

static_assert(!std::is_constructible_v<vidcache::user, std::nullptr_t>);

/* The user 42, whatever the type of the number. */
template <typename... Integers> static void every_integer_is_a_key(const vidcache::cache &cache)
{
  CHECK(((cache.resolve(static_cast<Integers>(42))->vid == 901) && ...));
}

template <typename Call> static vidcache::error failure(const Call &call)
{
  try {
    call();
  } catch (const vidcache::error &error) {
    return error;
  }
  std::fprintf(stderr, "nothing was thrown\n");
  std::abort();
}

static std::string answer(const char *vid, const char *email, const char *second)
{
  return std::string("{\"id\":\"") + vid + "\",\"properties\":{\"email\":\"" + email +
         "\"},\"updatedAt\":\"2026-03-01T10:00:" + second + ".000Z\"}";
}

int main(int count, char **arguments)
{
  CHECK(count == 2);
  vidcache::options options;
  options.secret = "thirty-two bytes kept out of it.";
  options.page_deadline = std::chrono::seconds(2);
  const std::string path = std::string(arguments[1]) + "/wrapper";
  vidcache::cache opened(path, 62515, options);
  vidcache::cache cache = std::move(opened);

  CHECK(std::string(vidcache::version()) == VIDCACHE_VERSION && vidcache::abi_version() == VIDCACHE_ABI_VERSION);
  CHECK(!cache.resolve(42));
  CHECK(cache.record(42, answer("901", "ann@shop.test", "00")).email_observed);
  CHECK(cache.resolve(42)->vid == 901 && cache.resolve("42")->external_id == 901);
  CHECK(cache.recall(42).value()->vid == 901 && !cache.recall("nobody"));
  every_integer_is_a_key<signed char, unsigned char, short, unsigned short, int, unsigned, long, unsigned long,
                         long long, unsigned long long>(cache);
  CHECK(failure([&] { cache.resolve(UINT64_MAX); }).code() == VIDCACHE_INVALID_USER_KEY);
  CHECK(!cache.resolve(0) && !cache.resolve(-1) && !cache.resolve(UINT64_C(1) << 62));
  CHECK(cache.decide(42, "Ann@shop.test").email == "ann@shop.test");
  CHECK(!cache.decide(42, std::nullopt).email && cache.decide(42, std::nullopt).id == 901);
  CHECK(std::string(cache.decide("nobody", std::nullopt).reason_name()) == "not_linked");

  const std::int64_t change = cache.begin_email_change(42);
  CHECK(cache.is_change_outstanding(42, change) && cache.change_outstanding_since(42, change)->count() > 0);
  const std::int64_t lease = cache.lease(42, std::chrono::seconds(60)).value();
  CHECK(!cache.lease(42, std::chrono::seconds(60)) && cache.lease(42, std::chrono::seconds(60), lease) == lease);
  CHECK(cache.release(42, lease) && !cache.release(42, lease));
  CHECK(cache.quiet_period() == std::chrono::seconds(7));
  CHECK(cache.snippet(42, "ann@shop.test").find("\"email\"") == std::string::npos);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  CHECK(cache.stale_changes(std::chrono::milliseconds(0)).at(0).user == "42");
  CHECK(cache.users_to_read(true, std::chrono::milliseconds(-1)).size() <= 1);
  cache.record(42, answer("901", "ann@home.test", "05"), change);
  CHECK(!cache.change_outstanding_since(42, change));
  CHECK(cache.snippet(42, "ann@home.test", "n0nce").find("\"email\":\"ann@home.test\"") != std::string::npos);
  CHECK(cache.page_data(42, "ann@home.test").find("\"id\":\"vid:901\",\"email\":\"ann@home.test\"}") != std::string::npos);
  CHECK(cache.anonymous_page_data().find("\"ttl\":2000}") != std::string::npos);
  CHECK(cache.signed_out_page_data().find("\"out\":true}") != std::string::npos);
  CHECK(cache.signed_out_snippet("n0nce").find("\"out\":true") != std::string::npos);
  // Longer than the buffer that is tried first.
  CHECK(cache.anonymous_snippet(std::string(4000, 'n')).size() > 8000);
  cache.abandon_email_change(42, cache.begin_email_change(42));

  vidcache_import_row row{};
  row.user = *vidcache::user("bea").get();
  row.vid = 7;
  CHECK(cache.import({row}).imported == 1);
  cache.link("cid", 8);
  const vidcache::error taken = failure([&] { cache.link("dot", 8); });
  CHECK(taken.code() == VIDCACHE_VID_TAKEN && taken.vid() == 8 && std::string(taken.name()) == "vid_taken");
  CHECK(cache.conflicts().size() <= 1 && !cache.refusal(42) && cache.users_of(8) == std::vector<std::string>{"cid"});
  cache.link_shared("dot", 8);
  for (int more = 0; more < 5; ++more) cache.link_shared(1000 + more, 8);
  CHECK(cache.users_of(8).size() == 7);
  const std::string clash = R"({"status":"error","category":"CONFLICT","message":"Contact already exists. Existing ID: 7"})";
  CHECK(failure([&] { cache.record("cid", clash); }).code() == VIDCACHE_CONTACT_CONFLICT);
  const std::vector<vidcache::conflict> clashes = cache.conflicts();
  CHECK(clashes.at(0).user == "cid" && clashes[0].vid == 8 && clashes[0].holder == 7);
  CHECK(clashes[0].why == VIDCACHE_CONFLICT_EMAIL_HELD && clashes[0].since.count() > 0);
  const vidcache::user cid("cid");
  CHECK(cache.conflicts(&cid).empty());
  cache.end_conflict("cid");
  CHECK(cache.conflicts().empty());
  CHECK(!failure([&] { cache.decide(42, ""); }).vid());
  CHECK(failure([&] { cache.decide(42, std::string_view()); }).code() == VIDCACHE_INVALID_EMAIL);
  CHECK(failure([&] { cache.record(42, answer("901", "a@x.test", "00"), 0); }).code() == VIDCACHE_UNKNOWN_CHANGE);
  CHECK(failure([&] { vidcache::cache(path, 1, options); }).code() == VIDCACHE_WRONG_PORTAL);
  {
    const std::string_view before = *options.secret;
    options.secret = "another secret of sixteen or more";
    CHECK(failure([&] { vidcache::cache(path, 62515, options); }).code() == VIDCACHE_WRONG_SECRET);
    options.old_secrets = {"a secret that it never was", before};
    CHECK(vidcache::cache(path, 62515, options).portal() == 62515);
    options.old_secrets.clear();
    CHECK(vidcache::cache(path, 62515, options).portal() == 62515);
  }
  options.busy_timeout = std::chrono::milliseconds(-1);
  CHECK(failure([&] { vidcache::cache(path, 62515, options); }).code() == VIDCACHE_INVALID_OPTION);

  const auto two = cache.resolve_many({42, "nobody"});
  CHECK(two.size() == 2 && two[0]->vid == 901 && !two[1] && cache.resolve_many({}).empty());
  const auto decided = cache.decide_many({{42, "ann@home.test"}, {"bea", std::nullopt}});
  CHECK(decided[0].email == "ann@home.test" && decided[1].reason == VIDCACHE_REASON_EMAIL_ABSENT);
  cache.link_shared("dot", 8);
  const vidcache::observed seen = cache.observe("{\"results\":[" + answer("77", "eva@shop.test", "00") + "]}");
  CHECK(seen.contacts == std::vector<std::int64_t>{77} && seen.missing.empty());
  CHECK(cache.apply_webhook("[]").applied == 0);
  CHECK(failure([&] { cache.apply_webhook("x"); }).code() == VIDCACHE_INVALID_WEBHOOK);
  CHECK(cache.explain(42, "ann@home.test").find("The page names the email") == 0);
  cache.doubt_all();
  CHECK(cache.decide(42, "ann@home.test").reason == VIDCACHE_REASON_EMAIL_UNCONFIRMED);
  CHECK(cache.export_user(42).front() == '{' && cache.forget(42) && !cache.forget(42));

  CHECK(cache.stats().hits > 0 && cache.portal() == 62515 && cache.verify().empty());
  cache.backup(path + std::string(".backup"));
  cache.close();
  CHECK(vidcache::restore(path + std::string(".backup"), path).find("wrapper.aside-") != std::string::npos);
  CHECK(failure([&] { cache.resolve(42); }).code() == VIDCACHE_CLOSED);
  cache = vidcache::cache(std::string(arguments[1]) + "/other", 62515);
  CHECK(vidcache::move_aside(path).find("wrapper.aside-") != std::string::npos);
  const vidcache::error limited = failure(
    [&] { cache.record(1, R"({"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"})"); });
  CHECK(limited.code() == VIDCACHE_RATE_LIMITED && limited.retry_after() == std::chrono::seconds(10));
  vidcache::signed_request request{"POST", "https://shop.test/hubspot", "[]", {}, {}, {}, {}};
  CHECK(failure([&] { vidcache::verify_signature("secret", request); }).code() == VIDCACHE_INVALID_SIGNATURE);
  // v1: SHA-256 of the secret and the body, whose newest event is of 2019.
  request.body = "[{\"eventId\":1,\"subscriptionId\":12345,\"portalId\":62515,\"occurredAt\":1564113600000,"
                 "\"subscriptionType\":\"contact.creation\",\"attemptNumber\":0,\"objectId\":123,\"changeSource\":\"CRM\","
                 "\"changeFlag\":\"NEW\",\"appId\":54321}]";
  request.signature = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de";
  request.take_v1 = true;
  const std::chrono::system_clock::time_point then{std::chrono::milliseconds(1564113600000)};
  vidcache::verify_signature("yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy", request, then);

  options.busy_timeout = std::nullopt;
  options.secret = "thirty-two bytes kept out of it.";
  CHECK(vidcache::database::migration("shop").find("\"shop\".\"vidcache_meta\"") != std::string::npos);
  const vidcache::database tables = vidcache::database::open(62515, options, "shop", std::chrono::seconds(1));
  const vidcache::user ann(42);
  vidcache_work work{};
  work.kind = VIDCACHE_WORK_PAGE;
  work.user = ann.get();
  vidcache::exchange exchange = tables.begin(work);
  vidcache_step step = exchange.answered();
  CHECK(step.statement && step.asks == 1 && step.parameters[1]);
  CHECK(failure([&] { exchange.outcome(); }).code() == VIDCACHE_INVALID_OPTION);
  step = exchange.refused("");
  CHECK(!step.statement && exchange.outcome().decision->reason == VIDCACHE_REASON_STALE);
  CHECK(exchange.outcome().why == VIDCACHE_STORAGE);
  CHECK(failure([&] { vidcache::database::open(0, options); }).code() == VIDCACHE_INVALID_PORTAL);
  std::puts("wrapper: sound");
}
