<?php
// Each line "WAY COUNT" on stdin: reads the token so often in that way; answers with microseconds per read.
require 'examples/php/Wxtokend.php';

[$directory, $appid] = [getenv('WXTOKEND_DIRECTORY'), getenv('BENCH_APPID')];
$file = "$directory/wx_access_token_$appid";
$reader = new Wxtokend($appid);

$openings = [
    'reader' => fn() => fn() => $reader->token(),
    'bare' => fn() => fn() => json_decode(file_get_contents($file), true)['value'],
    'redis' => function () {
        $connection = connect('BENCH_REDIS');
        return function () use ($connection) {
            fwrite($connection, "*2\r\n$3\r\nGET\r\n$5\r\ntoken\r\n");
            $length = (int) substr(fgets($connection), 1);
            $text = stream_get_contents($connection, $length);
            stream_get_contents($connection, 2);
            return json_decode($text, true)['value'];
        };
    },
    'server' => function () {
        $connection = connect('BENCH_SERVER');
        return function () use ($connection) {
            fwrite($connection, "GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n");
            for ($length = 0; ($line = fgets($connection)) !== "\r\n";)
                if (stripos($line, 'content-length:') === 0) $length = (int) substr($line, 15);
            return json_decode(stream_get_contents($connection, $length), true)['value'];
        };
    },
];

function connect(string $port) {
    $connection = stream_socket_client('tcp://127.0.0.1:' . getenv($port));
    return $connection;
}

$ways = [];
while (($line = fgets(STDIN)) !== false) {
    [$way, $count] = explode(' ', trim($line));
    $read = $ways[$way] ??= $openings[$way]();
    if (strlen($read()) !== 136) exit("no token by $way\n");
    $started = hrtime(true);
    for ($i = 0; $i < $count; $i++) $read();
    echo (hrtime(true) - $started) / 1000 / $count, "\n";
}
