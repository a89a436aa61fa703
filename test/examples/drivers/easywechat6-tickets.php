<?php
// Answers each URL on stdin with "timestamp nonceStr signature", or "error TEXT".
require getenv('STUBS') . '/php/easywechat6.php';
require getenv('EXAMPLES') . '/php/easywechat6-tickets.php';

$appid = getenv('WECHAT_APPID');
$app = new EasyWeChat\OfficialAccount\Application(['app_id' => $appid, 'secret' => 'a-secret']);
$app->setTicket(new WxtokendJsApiTicket($appid, getenv('WXTOKEND_DIRECTORY')));
while (($line = fgets(STDIN)) !== false) {
    try {
        $page = $app->getUtils()->buildJsSdkConfig(rtrim($line, "\n"), ['chooseImage']);
        echo "$page[timestamp] $page[nonceStr] $page[signature]\n";
    } catch (Exception $error) {
        echo 'error ', $error->getMessage(), "\n";
    }
}
