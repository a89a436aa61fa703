<?php
namespace Illuminate\Support {
    /** What a provider gets from its base class. */
    abstract class ServiceProvider
    {
        public function __construct(protected \Illuminate\Container\Container $app) {}
    }
}

namespace {
    require __DIR__ . '/loop.php';
    require '/usr/share/php/Illuminate/Container/autoload.php';
    require getenv('STUBS') . '/php/easywechat6.php';
    require getenv('EXAMPLES') . '/php/easywechat6.php';
    require getenv('EXAMPLES') . '/php/laravel-wechat.php';

    $laravel = new Illuminate\Container\Container();
    // As the SDK's provider binds it: a new application each time.
    $config = ['app_id' => $appid, 'secret' => 'a-secret', 'http' => ['base_uri' => "$api/"]];
    $laravel->bind('easywechat.official_account.default', fn () => new EasyWeChat\OfficialAccount\Application($config));
    (new WxtokendServiceProvider($laravel))->register();
    serve(function ($method, $path) use ($laravel, $appid) {
        $options = ['query' => ['reader' => $appid]] + ($method === 'POST' ? ['body' => '中文'] : []);
        return $laravel->make('easywechat.official_account.default')->getClient()($method, $path, $options);
    });
}
