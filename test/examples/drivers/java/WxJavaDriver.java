import me.chanjar.weixin.mp.api.impl.WxMpServiceImpl;

final class WxJavaDriver {
    public static void main(String[] arguments) throws Exception {
        WxtokendMpService.Config config = new WxtokendMpService.Config(new Wxtokend(Loop.APPID, Loop.DIRECTORY));
        config.setAppId(Loop.APPID);
        config.setSecret("a-secret");
        WxMpServiceImpl service = new WxtokendMpService();
        service.setWxMpConfigStorage(config);
        Loop.serve((method, path) -> {
            // A forced one must not fetch either; WxJava offers it to apps.
            service.getAccessToken(true);
            return service.execute(method, Loop.API + path + "?reader=" + Loop.APPID, "{\"name\":\"中文\"}");
        });
    }
}
