<?php
// What the calls cost from here: php bench.php. Each line of JSON is a call and the nanoseconds of the median of nine
// rounds.

declare(strict_types=1);

require __DIR__ . '/vidcache.php';

const SECRET = 'thirty-two bytes kept out of it.';

function measure(string $name, int $calls, callable $work): void
{
    $rounds = [];
    for ($round = 0; $round < 9; $round++) {
        $start = hrtime(true);
        for ($call = 0; $call < $calls; $call++) {
            $work();
        }
        $rounds[] = (hrtime(true) - $start) / $calls;
    }
    sort($rounds);
    echo json_encode(['call' => $name, 'ns' => (int) $rounds[4]]), "\n";
}

$folder = sys_get_temp_dir() . '/vidcache-php-' . bin2hex(random_bytes(6));
mkdir($folder, 0700);
$cache = new Vidcache("$folder/bench", 62515, SECRET);
$cache->record(42, '{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}');
$array = [42 => 901];
measure('array', 20_000, fn () => $array[42]);
measure('resolve', 20_000, fn () => $cache->resolve(42));
measure('snippet', 20_000, fn () => $cache->snippet(42, 'ann@shop.test', 'n0nce'));
unset($cache);
measure('open, snippet, free', 50, fn () => (new Vidcache("$folder/bench", 62515, SECRET))->snippet(42, 'ann@shop.test', 'n0nce'));
array_map('unlink', glob("$folder/*"));
rmdir($folder);
