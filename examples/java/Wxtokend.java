import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.concurrent.FutureTask;
import java.util.regex.*;
import static java.util.concurrent.CompletableFuture.delayedExecutor;
import static java.util.concurrent.TimeUnit.SECONDS;

/** Calls WeChat with the token that wxtokend keeps, and never fetches one. Java 16+ (for Unix sockets). */
public class Wxtokend {
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final String appid;
    public String file, socket, api = "https://api.weixin.qq.com";

    public Wxtokend(String appid, String directory) { // "/run/wxtokend"
        this.appid = appid;
        file = directory + "/wx_access_token_" + appid;
        socket = directory + "/control.sock";
    }
    /** Read it before every call: it may be another one at any moment. */
    public String token() throws IOException {
        String text = Files.readString(Path.of(file));
        if (Long.parseLong(field("expire", text)) > System.currentTimeMillis() / 1000) return field("value", text);
        throw new IOException("could not use " + file + ": its token has expired; see wxtokend status");
    }
    /** The token to use instead of one that WeChat refused; null if there is no other. */
    public String replacement(String stale) {
        try {
            String value = field("value", Files.readString(Path.of(file)));
            if (value.equals(stale)) value = field("value", report(stale));
            return value.equals(stale) ? null : value;
        } catch (IOException problem) {
            return null; // WeChat's own answer tells more than this error
        }
    }
    /** WeChat's answer to GET, or to POST if there is a JSON body. */
    public String call(String path, String body) throws IOException, InterruptedException {
        String token = token(), answer = send(path, body, token);
        boolean dead = answer.matches("(?s)\\s*\\{\\s*\"errcode\"\\s*:\\s*(40001|40014|42001)\\b.*");
        String other = dead ? replacement(token) : null;
        return other == null ? answer : send(path, body, other);
    }
    private String send(String path, String body, String token) throws IOException, InterruptedException {
        URI uri = URI.create(api + path + (path.contains("?") ? "&" : "?") + "access_token=" + token);
        HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(10));
        request.header("Content-Type", "application/json");
        if (body != null) request.POST(HttpRequest.BodyPublishers.ofString(body));
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
    }
    private String report(String stale) throws IOException {
        String body = "{\"stale\":\"" + stale + "\"}", head = "POST /v1/accounts/" + appid + "/refresh HTTP/1.0\r\n";
        String request = head + "Host: wxtokend\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
        try (SocketChannel keeper = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            keeper.write(ByteBuffer.wrap(request.getBytes()));
            // It may ask WeChat before it answers.
            delayedExecutor(25, SECONDS).execute(new FutureTask<>(() -> { keeper.close(); return null; }));
            return new String(Channels.newInputStream(keeper).readAllBytes());
        }
    }
    private static String field(String name, String json) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"?([^\"\\s,}]+)").matcher(json);
        if (found.find()) return found.group(1);
        throw new IOException("there is no " + name + " in the token file, or in the answer to a report");
    }
}
