import java.io.*;
import me.chanjar.weixin.common.bean.WxJsapiSignature;

/** Answers each URL on stdin with "timestamp nonceStr signature", or "error TEXT". */
final class WxJavaTicketDriver {
    public static void main(String[] arguments) throws Exception {
        String appid = System.getenv("WECHAT_APPID");
        WxtokendMpTickets config = new WxtokendMpTickets(appid, System.getenv("WXTOKEND_DIRECTORY"));
        config.setAppId(appid);
        WxtokendMpService service = new WxtokendMpService();
        service.setWxMpConfigStorage(config);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String url; (url = lines.readLine()) != null;) {
            try {
                WxJsapiSignature page = service.createJsapiSignature(url);
                System.out.println(page.getTimestamp() + " " + page.getNonceStr() + " " + page.getSignature());
            } catch (Exception error) { System.out.println("error " + error.getMessage()); }
        }
    }
}
