import java.io.IOException;
import java.io.UncheckedIOException;
import me.chanjar.weixin.common.bean.WxAccessToken;
import me.chanjar.weixin.mp.api.impl.WxMpServiceImpl;
import me.chanjar.weixin.mp.config.impl.WxMpDefaultConfigImpl;

/**
 * WxJava with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
 * <pre>
 * WxtokendMpService.Config config = new WxtokendMpService.Config(new Wxtokend("wx0123456789abcdef", "/run/wxtokend"));
 * config.setAppId("wx0123456789abcdef");
 * WxMpService service = new WxtokendMpService();
 * service.setWxMpConfigStorage(config);
 * </pre>
 */
public class WxtokendMpService extends WxMpServiceImpl {
    /** Also with {@code true}, which otherwise fetches. */
    @Override
    public String getAccessToken(boolean forceRefresh) {
        return getWxMpConfigStorage().getAccessToken();
    }

    /** For a mini program extend {@code WxMaDefaultConfigImpl} in the same way. */
    public static class Config extends WxMpDefaultConfigImpl {
        private final transient Wxtokend keeper;

        public Config(Wxtokend keeper) {
            this.keeper = keeper;
        }

        @Override
        public String getAccessToken() {
            try {
                return keeper.token();
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        }

        /** The SDK calls this when WeChat refused the token that is still in the file, and then tries once more. */
        @Override
        public void expireAccessToken() {
            keeper.replacement(getAccessToken());
        }

        @Override
        public boolean isAccessTokenExpired() {
            return false;
        }

        @Override
        public void updateAccessToken(WxAccessToken token) { }

        @Override
        public void updateAccessToken(String token, int seconds) { }
    }
}
