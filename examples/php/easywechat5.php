<?php
/**
 * EasyWeChat 5 and 4 with the token that wxtokend keeps: no fetch, and one more call if WeChat refuses a token.
 *
 *     $app = EasyWeChat\Factory::officialAccount($config);
 *     $app->rebind('access_token', new WxtokendAccessToken(new Wxtokend($config['app_id'])));  // before the first call
 */
use EasyWeChat\Kernel\Contracts\AccessTokenInterface;
use Psr\Http\Message\RequestInterface;

final class WxtokendAccessToken implements AccessTokenInterface {
    private Wxtokend $keeper;
    private string $used = '';

    public function __construct(Wxtokend $keeper) {
        $this->keeper = $keeper;
    }

    public function getToken(): array {
        return ['access_token' => $this->keeper->token()];
    }

    /** The SDK asks for this when WeChat refused the last call; then it applies the token again: the new one. */
    public function refresh(): AccessTokenInterface {
        $this->keeper->replacement($this->used);
        return $this;
    }

    public function applyToRequest(RequestInterface $request, array $requestOptions = []): RequestInterface {
        parse_str($request->getUri()->getQuery(), $query);
        $query['access_token'] = $this->used = $this->keeper->token();
        return $request->withUri($request->getUri()->withQuery(http_build_query($query)));
    }
}
