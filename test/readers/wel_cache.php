<?php
// The same in PHP, as apps have it. Arguments: directory, appid, and how many
// different tokens it shall see before it ends well.

class WelCache
{
    private $path;

    public function __construct($path)
    {
        $this->path = $path;
    }

    public function get($key)
    {
        $data = json_decode(file_get_contents($this->path . '/' . $key));
        if ($data && $data->expire > time()) {
            return $data->value;
        }
        return null;
    }
}

[, $directory, $appid, $wanted] = $argv;
$cache = new WelCache($directory);
$seen = [];
$misses = 0;
while (count($seen) < (int) $wanted) {
    $token = $cache->get('wx_access_token_' . $appid);
    if ($token === null) {
        // A miss is when the app would fetch by itself.
        $misses++;
    } elseif (!isset($seen[$token])) {
        $seen[$token] = true;
        printf("%d tokens, %d misses\n", count($seen), $misses);
    }
}
