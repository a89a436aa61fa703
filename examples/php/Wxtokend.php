<?php
/**
 * Calls WeChat with the token that wxtokend keeps, and never fetches one. PHP 7.4+ with curl.
 *     $wechat = new Wxtokend('wx0123456789abcdef');
 *     $wechat->call('/cgi-bin/user/get', ['next_openid' => '']);    // GET
 *     $wechat->call('/cgi-bin/menu/create', [], ['button' => []]);  // POST
 */
class Wxtokend {
    const DEAD = [40001, 40014, 42001];
    public string $file, $socket;
    private string $appid, $api;

    function __construct(string $appid, ?string $directory = null, string $api = 'https://api.weixin.qq.com') {
        [$this->appid, $this->api] = [$appid, $api];
        $directory = $directory ?: getenv('WXTOKEND_DIRECTORY') ?: '/run/wxtokend';
        $this->file = "$directory/wx_access_token_$appid";
        $this->socket = "$directory/control.sock";
    }

    /** Read it before every call: it may be another one at any moment. */
    function token(): string {
        ['value' => $value, 'expire' => $expire] = $this->read();
        if ($expire > time()) return $value;
        throw new RuntimeException("could not use $this->file: its token has expired; see wxtokend status");
    }

    /** The token to use instead of one that WeChat refused; null if there is no other. */
    function replacement(string $stale): ?string {
        try {
            $value = $this->read()['value'];
            if ($value === $stale) $value = $this->report($stale)['value'] ?? $stale;
            return $value === $stale ? null : $value;
        } catch (Exception $e) {
            return null; // WeChat's own answer tells more than this error
        }
    }

    /** WeChat's answer as an array, or as a string if it is a file. */
    function call(string $path, array $query = [], ?array $body = null) {
        $token = $this->token();
        $text = $body === null ? null : json_encode($body, JSON_UNESCAPED_UNICODE);
        $url = fn($token) => "$this->api$path?" . http_build_query($query + ['access_token' => $token]);
        $answer = self::send($url($token), $text);
        $other = in_array($answer['errcode'] ?? 0, self::DEAD, true) ? $this->replacement($token) : null;
        return $other ? self::send($url($other), $text) : $answer;
    }

    private function read(): array {
        if (getenv('WXTOKEND_URL')) return $this->ask('token'); // wxtokend on another host, instead of file and socket
        $text = @file_get_contents($this->file, false, null, 0, 4096); // a length spares PHP a second read
        $token = json_decode((string) $text, true, 4);
        if (isset($token['value'], $token['expire'])) return $token;
        set_error_handler(function ($level, $words) use (&$why) { // of PHP itself: permission, open_basedir, …
            return (bool) ($why .= preg_replace('/^file_get_contents\(.*?\)/', '', $words));
        });
        file_get_contents($this->file); // once more, for its warnings
        restore_error_handler();
        throw new RuntimeException("could not use $this->file" . ($why ?? ': it holds no token; see wxtokend status'));
    }

    private function report(string $stale): array { // it may ask WeChat before it answers, hence 25 s
        if (getenv('WXTOKEND_URL')) return $this->ask('refresh', json_encode(['stale' => $stale]));
        $options = [CURLOPT_UNIX_SOCKET_PATH => $this->socket, CURLOPT_PROXY => '', CURLOPT_TIMEOUT => 25];
        $url = "http://wxtokend/v1/accounts/$this->appid/refresh";
        return self::send($url, json_encode(['stale' => $stale]), $options);
    }

    private function ask(string $what, ?string $body = null): array {
        $bearer = 'Authorization: Bearer ' . trim(file_get_contents(getenv('WXTOKEND_BEARER_FILE')));
        $url = getenv('WXTOKEND_URL') . '/v1/credentials/' . basename($this->file) . "/$what";
        $options = [CURLOPT_HTTPHEADER => [$bearer, 'Content-Type: application/json'], CURLOPT_FAILONERROR => true];
        return self::send($url, $body, $options + [CURLOPT_TIMEOUT => 25]);
    }

    private static function send(string $url, ?string $body, array $options = []) {
        $json = [CURLOPT_HTTPHEADER => ['Content-Type: application/json']];
        if ($body !== null) $options += [CURLOPT_POSTFIELDS => $body] + $json;
        curl_setopt_array($curl = curl_init($url), $options + [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 10]);
        if (($answer = curl_exec($curl)) === false) throw new RuntimeException('no answer: ' . curl_error($curl));
        return $answer !== '' && $answer[0] === '{' ? json_decode($answer, true, 512, JSON_THROW_ON_ERROR) : $answer;
    }
}
