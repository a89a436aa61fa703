<?php
require getenv('EXAMPLES') . '/php/WxtokendTickets.php';

$tickets = new WxtokendTickets(getenv('WECHAT_APPID'), getenv('WXTOKEND_DIRECTORY'));
$sign = function (string $what, string ...$words) use ($tickets): string {
    if ($what === 'page') return implode(' ', $tickets->page($words[0], $words[1], (int) $words[2]));
    if ($what === 'ask') return json_encode($tickets->requestPage($words[0]));
    if ($what === 'sort') return WxtokendTickets::signature($words);
    [$id, $timestamp, $nonce, $code] = $words;
    return $tickets->card($id, ['timestamp' => $timestamp, 'nonce_str' => $nonce, 'code' => $code])['signature'];
};
while (($line = fgets(STDIN)) !== false) {
    try {
        $answer = $sign(...explode("\t", rtrim($line, "\n")));
    } catch (Exception $error) {
        $answer = 'error ' . $error->getMessage();
    }
    echo "$answer\n";
}
