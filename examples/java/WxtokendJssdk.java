import java.io.*;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;

/** Lets wxtokend sign pages: the ticket does not leave it. Java 16+, for its Unix sockets. */
public class WxtokendJssdk {
    private final String appid, socket;

    public WxtokendJssdk(String appid, String directory) { // "/run/wxtokend"
        this.appid = appid;
        socket = directory + "/control.sock";
    }
    /** What wx.config takes, as JSON. url: location.href.split("#")[0] of the browser. */
    public String requestPage(String url) throws IOException {
        String json = "{\"url\":\"" + url.replace("\\", "\\\\").replace("\"", "\\\"") + "\"}";
        byte[] body = json.getBytes(StandardCharsets.UTF_8);
        String head = "POST /v1/accounts/" + appid + "/jssdk HTTP/1.0\r\nContent-Length: " + body.length + "\r\n\r\n";
        try (SocketChannel keeper = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            OutputStream request = Channels.newOutputStream(keeper);
            request.write(head.getBytes(StandardCharsets.UTF_8));
            request.write(body);
            String answer = new String(Channels.newInputStream(keeper).readAllBytes(), StandardCharsets.UTF_8);
            String content = answer.substring(answer.indexOf("\r\n\r\n") + 4);
            if (content.contains("\"signature\"")) return content;
            throw new IOException("could not sign a page: " + content);
        }
    }
}
