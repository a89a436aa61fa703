<?php
// Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT".
error_reporting(E_ALL);
set_error_handler(function ($level, $text, $file, $line) {
    // A warning in an example is a fault; what it silences on purpose is not.
    if (error_reporting() & $level) throw new ErrorException($text, 0, $level, $file, $line);
});
[$appid, $directory, $api] = array_map('getenv', ['WECHAT_APPID', 'WXTOKEND_DIRECTORY', 'WECHAT_API']);
require getenv('EXAMPLES') . '/php/Wxtokend.php';

function serve(callable $call): void
{
    while (($line = fgets(STDIN)) !== false) {
        [$id, $method, $path] = explode(' ', trim($line));
        try {
            echo "$id\tanswer\t" . json_encode($call($method, $path)) . "\n";
        } catch (Throwable $e) {
            echo "$id\terror\t" . get_class($e) . ': ' . str_replace("\n", ' ', $e->getMessage()) . "\n";
        }
    }
}
