package vidcache;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** What Java sees: every name and every default, without Kotlin's own. CacheTest.kt runs it. */
final class FromJava {
  private FromJava() {}

  static Decision throughAChange(Path path, byte[] secret, String answer) {
    UserKey ann = new UserKey(42);
    try (Cache cache = new Cache(path, 62515, secret)) {
      cache.record(ann, answer);
      long change = cache.beginEmailChange(ann);
      if (cache.decide(ann, "ann@shop.test").getReason() != Reason.CHANGE_OUTSTANDING) throw new AssertionError("no change");
      cache.record(ann, answer, change);
      cache.importUsers(List.of(new ImportRow(new UserKey("bea"), 902)));
      cache.staleChanges(Duration.ZERO);
      cache.snippet(ann, null);
      cache.anonymousSnippet();
      cache.signedOutSnippet();
      if (!cache.pageData(ann, null).contains("vid:901") || cache.quietPeriod().compareTo(Duration.ofSeconds(15)) != 0) {
        throw new AssertionError("other data");
      }
      if (!cache.resolveMany(List.of(ann, new UserKey("bea"))).equals(List.of(901L, 902L))) throw new AssertionError("other contacts");
      try {
        Vidcache.moveAside(path);
        throw new AssertionError("moved while it was open");
      } catch (Busy busy) {
        if (busy.getNumber() != 401) throw new AssertionError(busy);
      }
      try {
        Vidcache.verifySignature(secret, "POST", "https://shop.test/hubspot", new byte[0], Map.of());
        throw new AssertionError("signed by nobody");
      } catch (VidcacheException unsigned) {
        if (!unsigned.getCode().equals("invalid_signature")) throw new AssertionError(unsigned);
      }
      return cache.decide(ann, "ann@shop.test");
    }
  }
}
