import me.chanjar.weixin.mp.api.impl.WxMpServiceImpl;

final class WxJavaDriver {
    public static void main(String[] arguments) throws Exception {
        WxtokendMpService.Config config = new WxtokendMpService.Config(new Wxtokend(Loop.APPID, Loop.DIRECTORY));
        config.setAppId(Loop.APPID);
        config.setSecret("a-secret");
        WxMpServiceImpl kept = new WxtokendMpService();
        kept.setWxMpConfigStorage(config);
        // The configuration alone is enough for whoever never forces a fetch.
        WxMpServiceImpl service = new WxMpServiceImpl();
        service.setWxMpConfigStorage(config);
        Loop.serve((method, path) -> {
            kept.getAccessToken(true);
            return service.execute(method, Loop.API + path + "?reader=" + Loop.APPID, "{\"name\":\"中文\"}");
        });
    }
}
