<?php
/**
 * Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside Wxtokend.php.
 *     $tickets = new WxtokendTickets('wx0123456789abcdef');
 *     $config = $tickets->page($_GET['url']); // location.href.split('#')[0] of the browser
 *     $cardExt = json_encode($tickets->card('pXch-jnOlGtbuWwIO2NDftZeynRE', ['code' => '1234']));
 */
require_once __DIR__ . '/Wxtokend.php';

class WxtokendTickets {
    private string $appid, $directory;

    function __construct(string $appid, ?string $directory = null) {
        $this->appid = $appid;
        $this->directory = dirname((new Wxtokend($appid, $directory))->file);
    }

    /** "jsapi" or "card". Read it at every use: it may be another one at any moment. */
    function ticket(string $kind): string {
        $reader = new Wxtokend($this->appid, $this->directory);
        $reader->file = "$this->directory/wx_{$kind}_ticket_$this->appid";
        return $reader->token();
    }

    /** What wx.config takes. The name is nonceStr there, and noncestr in the text that is signed. */
    function page(string $url, ?string $nonceStr = null, ?int $timestamp = null): array {
        $nonceStr = $nonceStr ?? bin2hex(random_bytes(8));
        $timestamp = $timestamp ?? time();
        $url = explode('#', $url, 2)[0];
        $text = "jsapi_ticket={$this->ticket('jsapi')}&noncestr=$nonceStr&timestamp=$timestamp&url=$url";
        $config = ['appId' => $this->appid, 'timestamp' => $timestamp, 'nonceStr' => $nonceStr];
        return $config + ['signature' => sha1($text)];
    }

    /** As page, but wxtokend signs, and the ticket does not leave it. */
    function requestPage(string $url): array {
        $curl = curl_init("http://wxtokend/v1/accounts/$this->appid/jssdk");
        curl_setopt_array($curl, [
            CURLOPT_UNIX_SOCKET_PATH => "$this->directory/control.sock", CURLOPT_PROXY => '', CURLOPT_TIMEOUT => 10,
            CURLOPT_HTTPHEADER => ['Content-Type: application/json'], CURLOPT_RETURNTRANSFER => true,
            CURLOPT_POSTFIELDS => json_encode(['url' => $url]),
        ]);
        $answer = json_decode((string) curl_exec($curl), true);
        if (isset($answer['signature'])) return $answer;
        throw new RuntimeException('could not sign a page: ' . ($answer['message'] ?? curl_error($curl)));
    }

    /** cardExt of a card. $fields: code and openid, if they are used; timestamp and nonce_str are added. */
    function card(string $cardId, array $fields = []): array {
        $fields += ['timestamp' => (string) time(), 'nonce_str' => bin2hex(random_bytes(8))];
        $values = array_merge([$this->ticket('card'), $cardId], array_values($fields));
        return $fields + ['signature' => self::signature($values)];
    }

    /** Sorted by bytes: without SORT_STRING, PHP would compare values that look like numbers as numbers. */
    static function signature(array $values): string {
        sort($values, SORT_STRING);
        return sha1(implode('', $values));
    }
}
