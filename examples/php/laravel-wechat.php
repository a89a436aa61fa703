<?php
/**
 * overtrue/laravel-wechat 7 (EasyWeChat 6) with the token that wxtokend keeps. Put it beside Wxtokend.php and
 * easywechat6.php, and list it in config/app.php (Laravel 11: bootstrap/providers.php), below the SDK's own provider.
 */
use Illuminate\Support\ServiceProvider;

final class WxtokendServiceProvider extends ServiceProvider {
    /** The accounts of config/easywechat.php that wxtokend keeps. */
    private const ACCOUNTS = ['official_account.default', 'mini_app.default'];

    public function register(): void {
        // The SDK makes a new application each time it is asked for one: so each one is plugged in.
        foreach (self::ACCOUNTS as $account) {
            $this->app->extend("easywechat.$account", function (object $wechat): object {
                WxtokendHttpClient::plugInto($wechat);
                return $wechat;
            });
        }
    }
}
