<?php
require __DIR__ . '/loop.php';
require getenv('STUBS') . '/php/easywechat6.php';
require getenv('EXAMPLES') . '/php/easywechat6.php';

use Symfony\Component\Mime\Part\DataPart;
use Symfony\Component\Mime\Part\Multipart\FormDataPart;

require '/usr/share/php/Symfony/Component/Mime/autoload.php';

$app = new EasyWeChat\OfficialAccount\Application(['app_id' => $appid, 'secret' => 'a-secret', 'http' => ['base_uri' => "$api/"]]);
WxtokendHttpClient::plugInto($app, new Wxtokend($appid, $directory));
serve(function ($method, $path) use ($app, $appid) {
    $options = ['query' => ['reader' => $appid]];
    if ($method === 'POST') {
        // As the SDK sends an uploaded file.
        $form = new FormDataPart(['media' => new DataPart('中文', 'name.txt')]);
        $options += ['headers' => $form->getPreparedHeaders()->toArray(), 'body' => $form->bodyToString()];
    }
    if ($method === 'STREAM') [$method, $options['body']] = ['POST', fopen('data:text/plain,中文', 'r')];
    return $app->getClient()($method, $path, $options);
});
