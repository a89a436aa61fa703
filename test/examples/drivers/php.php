<?php
require __DIR__ . '/loop.php';
$wechat = new Wxtokend($appid, $directory, $api);
serve(fn ($method, $path) => $wechat->call($path, ['reader' => $appid], $method === 'POST' ? ['name' => '中文'] : null));
