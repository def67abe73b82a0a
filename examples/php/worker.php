<?php
// php worker.php prepare: makes the customers. php worker.php: tells HubSpot of their emails, until it is stopped.

declare(strict_types=1);

require __DIR__ . '/shop.php';

$shop = new Shop();
if (($argv[1] ?? '') === 'prepare') {
    $shop->prepare((int) (getenv('USERS') ?: 5));
} else {
    $shop->work();
}
