<?php
// A small shop: customers sign in, look at pages, and change their email.

declare(strict_types=1);

require __DIR__ . '/shop.php';

const SIGN_IN = '<form action="/sign_in" method="post"><input name="login"><button>Sign in</button></form>';

/** HubSpot's snippet: what this is about. The page goes out whatever becomes of it. */
function tracking(Shop $shop, array $user, string $nonce): string
{
    if ($shop->usual) {
        $email = json_encode($user['email'], JSON_HEX_TAG | JSON_THROW_ON_ERROR);
        return "<script nonce=\"$nonce\">var _hsq = window._hsq = window._hsq || []; _hsq.push([\"identify\", {email: $email}]);</script>
            <script id=\"hs-script-loader\" async defer src=\"//js.hs-scripts.com/$shop->portal.js\"></script>";
    }
    try {
        return $shop->cache()->snippet($user['id'], $user['email'], $nonce);
    } catch (VidcacheError $error) {
        error_log($error->getMessage());
        return '';
    }
}

function page(Shop $shop, ?array $user, string $title, string $body): void
{
    $nonce = base64_encode(random_bytes(16));
    header("Content-Security-Policy: script-src 'nonce-$nonce' 'strict-dynamic'; img-src 'self' https://track.hubspot.com");
    if ($user && !$shop->usual) {
        // It names its visitor: no cache may show it later, or to somebody else.
        header('Cache-Control: private, no-store');
    }
    echo "<!DOCTYPE html><title>$title</title><h1>$title</h1>$body", $user ? tracking($shop, $user, $nonce) : '';
}

function redirect(string $location): void
{
    header("Location: $location", true, 303);
}

function signIn(Shop $shop): void
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        page($shop, null, 'Sign in', SIGN_IN);
        return;
    }
    $user = $shop->user('login', (string) ($_POST['login'] ?? ''));
    if (!$user) {
        page($shop, null, 'There is no such customer', SIGN_IN);
        return;
    }
    session_regenerate_id();
    $_SESSION['user'] = $user['id'];
    redirect('/');
}

function settings(Shop $shop, array $user): void
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        $email = htmlspecialchars($user['email']);
        page($shop, $user, 'Settings', "<form action=\"/settings\" method=\"post\"><input name=\"email\" type=\"email\" value=\"$email\"><button>Change it</button></form>");
        return;
    }
    $email = strtolower(trim((string) ($_POST['email'] ?? '')));
    if (!preg_match('/^[^@\s]+@[^@\s]+$/D', $email)) {
        page($shop, $user, 'That is no email address', '<a href="/settings">Settings</a>');
        return;
    }
    $shop->changeEmail($user['id'], $email);
    redirect('/settings');
}

$shop = new Shop();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/up') {
    return;
}
if ($path === '/jobs') {
    header('Content-Type: application/json');
    echo json_encode(['pending' => $shop->pending()]);
    return;
}
// Without headers of PHP's own about caches: page() has them.
session_cache_limiter('');
session_start(['cookie_httponly' => true, 'cookie_samesite' => 'Lax', 'use_strict_mode' => true]);
if ($path === '/sign_in') {
    signIn($shop);
    return;
}
$id = $_SESSION['user'] ?? null;
// The session is only read: the customer's other tabs need not wait for this page.
session_write_close();
$user = $shop->user('id', $id);
if (!$user) {
    redirect('/sign_in');
} elseif ($path === '/') {
    page($shop, $user, "Welcome, {$user['login']}", '<a href="/settings">Settings</a>');
} elseif ($path === '/settings') {
    settings($shop, $user);
} elseif (preg_match('#^/pages/([1-9])$#D', $path, $found)) {
    page($shop, $user, "Page $found[1]", '<p>Nothing is sold here.</p>');
} else {
    http_response_code(404);
    echo 'There is no such page.';
}
