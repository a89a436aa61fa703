<?php
/**
 * EasyWeChat 6 with the jsapi_ticket that wxtokend keeps: the SDK signs pages, and fetches nothing for it.
 *
 *     $app->setTicket(new WxtokendJsApiTicket('wx0123456789abcdef'));
 *     $config = $app->getUtils()->buildJsSdkConfig($url, ['updateAppMessageShareData']);
 */
use EasyWeChat\Kernel\Contracts\JsApiTicket;

require_once __DIR__ . '/WxtokendTickets.php';

final class WxtokendJsApiTicket implements JsApiTicket {
    private WxtokendTickets $tickets;

    public function __construct(string $appid, ?string $directory = null) {
        $this->tickets = new WxtokendTickets($appid, $directory);
    }

    public function getTicket(): string { return $this->tickets->ticket('jsapi'); }

    public function configSignature(string $url, string $nonce, int $timestamp): array {
        return ['url' => $url] + $this->tickets->page($url, $nonce, $timestamp);
    }
}
