// vidcache.hpp where nothing may throw: compiled with -fno-exceptions and -fno-rtti.
#include <vidcache.hpp>

#include "check.hpp"

#include <cstdio>
#include <cstdlib>

int main(int count, char **arguments)
{
  CHECK(count == 2);
  const std::string path = std::string(arguments[1]) + "/returning";
  const vidcache::result<vidcache::cache> nowhere = vidcache::cache::open(path + "/in/no/folder", 62515);
  CHECK(!nowhere && nowhere.error().code() == VIDCACHE_CANNOT_OPEN && std::string(nowhere.error().name()) == "cannot_open");

  vidcache::options options;
  options.secret = "thirty-two bytes kept out of it.";
  vidcache::result<vidcache::cache> opened = vidcache::cache::open(path, 62515, options);
  CHECK(opened);
  vidcache::cache cache = std::move(opened).value();
  CHECK(cache.link(42, 901) && cache.resolve(42).value()->vid == 901 && !*cache.resolve(43));
  const vidcache::result<void> taken = cache.link("dot", 901);
  CHECK(!taken && taken.error().code() == VIDCACHE_VID_TAKEN && taken.error().vid() == 901);
  CHECK(cache.recall(42).value().value()->vid == 901);
  const std::string answer = R"({"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"})";
  CHECK(cache.record(42, answer)->email_observed && cache.observe(answer)->contacts.at(0) == 901);
  CHECK(cache.snippet(42, "ann@shop.test")->find("ann@shop.test") != std::string::npos);
  CHECK(cache.decide(42, std::string_view()).error().code() == VIDCACHE_INVALID_EMAIL);
  const vidcache::result<std::int64_t> change = cache.begin_email_change(42);
  CHECK(change && *cache.is_change_outstanding(42, *change) && *cache.change_outstanding_since(42, *change));
  CHECK(cache.abandon_email_change(42, *change) && cache.users_of(901)->size() == 1 && cache.verify()->empty());
  CHECK(cache.explain(42, std::nullopt).has_value() && *cache.forget(42) && !*cache.forget(42));
  CHECK(cache.close() && cache.resolve(42).error().code() == VIDCACHE_CLOSED);
  CHECK(vidcache::move_aside(path)->find("returning.aside-") != std::string::npos);
  CHECK(!vidcache::restore(path + ".none", path));
  CHECK(!vidcache::verify_signature("secret", {}));
  std::puts("returning: sound");
}
