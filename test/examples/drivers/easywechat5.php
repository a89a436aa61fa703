<?php
require __DIR__ . '/loop.php';
require '/usr/share/php/Nyholm/Psr7/autoload.php';
require getenv('STUBS') . '/php/easywechat5.php';
require getenv('EXAMPLES') . '/php/easywechat5.php';

$client = new EasyWeChat\Kernel\BaseClient(new WxtokendAccessToken(new Wxtokend($appid, $directory)), $api);
serve(fn ($method, $path) => $client->request($method, $path, ['reader' => $appid], $method === 'POST' ? '中文' : null));
