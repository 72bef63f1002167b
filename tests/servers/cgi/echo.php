<?php
// What the application was given, as PHP shows it; `/status/404` answers so.
if (preg_match('{/status/(\d+)$}', $_SERVER['DOCUMENT_URI'], $found)) {
    http_response_code((int) $found[1]);
}
header('Content-Type: application/json');
header('Set-Cookie: one=1; Path=/');
$given = array_filter($_SERVER, 'is_string');
echo json_encode(['variables' => $given, 'body' => file_get_contents('php://input')]);
