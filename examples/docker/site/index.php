<?php
// Shows that a token is there, and never the token itself.
$appid = 'wx0123456789abcdef';
$text = file_get_contents("/run/wxtokend/wx_access_token_$appid");
if ($text === false) {
	http_response_code(503);
	exit("no token: see wxtokend status\n");
}
$left = json_decode($text)->expire - time();
echo "the token of $appid lives for $left seconds more\n";
