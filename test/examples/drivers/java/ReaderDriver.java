final class ReaderDriver {
    public static void main(String[] arguments) throws Exception {
        Wxtokend wechat = new Wxtokend(Loop.APPID, Loop.DIRECTORY);
        wechat.api = Loop.API;
        Loop.serve((method, path) ->
            wechat.call(path + "?reader=" + Loop.APPID, method.equals("POST") ? "{\"name\":\"中文\"}" : null));
    }
}
