<?php
// A page server that signs with the ticket in a file, by the reading rule of the sample
// of WeChat's JS-SDK: cut 15 bytes off, decode, use it unless its time is over.
// Arguments: the directory of jsapi_ticket.php and access_token.php, the URL of WeChat,
// the appid, and how many different tickets it shall sign with before it ends.

class JsSdkPage
{
    public $fetches = 0;
    public $torn = 0;
    private $directory;

    public function __construct($directory)
    {
        $this->directory = $directory;
    }

    public function ticket()
    {
        return $this->value('jsapi_ticket.php', 'jsapi_ticket');
    }

    public function token()
    {
        return $this->value('access_token.php', 'access_token');
    }

    public function sign($ticket, $url)
    {
        $timestamp = (string) time();
        $noncestr = bin2hex(random_bytes(8));
        $signature = sha1("jsapi_ticket=$ticket&noncestr=$noncestr&timestamp=$timestamp&url=$url");
        return compact('url', 'noncestr', 'timestamp', 'signature');
    }

    private function value($file, $key)
    {
        $text = file_get_contents("$this->directory/$file");
        $data = json_decode(trim(substr($text, 15)));
        if (!is_object($data) || substr($text, 0, 15) !== '<?php exit();?>') {
            $this->torn++;
            return null;
        }
        if ($data->expire_time >= time()) {
            return $data->$key;
        }
        // Here it would ask WeChat by itself.
        $this->fetches++;
        return null;
    }
}

[, $directory, $wechat, $appid, $wanted] = $argv;
$page = new JsSdkPage($directory);
$seen = [];
$reads = 0;
$verdicts = [];
while (count($seen) < (int) $wanted) {
    $reads++;
    $page->token();
    $ticket = $page->ticket();
    if ($ticket === null || isset($seen[$ticket])) {
        continue;
    }
    $seen[$ticket] = true;
    $body = json_encode($page->sign($ticket, 'https://shop.example/item?id=' . count($seen)) + ['appid' => $appid]);
    $http = ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => $body];
    $answer = file_get_contents("$wechat/sim/verify-signature", false, stream_context_create(['http' => $http]));
    $verdict = json_decode($answer)->result;
    $verdicts[$verdict] = ($verdicts[$verdict] ?? 0) + 1;
    echo 'tickets: ' . count($seen) . "\n";
}
echo json_encode(['reads' => $reads, 'fetches' => $page->fetches, 'torn' => $page->torn, 'verdicts' => $verdicts]) . "\n";
