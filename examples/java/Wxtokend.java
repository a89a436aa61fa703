import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.channels.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.concurrent.*;
import java.util.regex.*;

/** Calls WeChat with the token that wxtokend keeps, and never fetches one. Java 16+, for its Unix sockets. */
public class Wxtokend {
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    public String appid, file, socket, api = "https://api.weixin.qq.com";

    public Wxtokend(String appid, String directory) { // "/run/wxtokend"
        this.appid = appid;
        file = directory + "/wx_access_token_" + appid;
        socket = directory + "/control.sock";
    }
    /** Read it before every call: it may be another one at any moment. */
    public String token() throws IOException {
        String text = read();
        if (Long.parseLong(field("expire", text)) > System.currentTimeMillis() / 1000) return field("value", text);
        throw new IOException("could not use " + file + ": its token has expired; see wxtokend status");
    }
    /** The token to use instead of one that WeChat refused; null if there is no other. */
    public String replacement(String stale) {
        try {
            String value = field("value", read());
            if (value.equals(stale)) value = field("value", report(stale));
            return value.equals(stale) ? null : value;
        } catch (IOException problem) { return null; } // WeChat's own answer tells more than this error
    }
    public String call(String path, String body) throws IOException, InterruptedException {
        String token = token(), answer = send(path, body, token);
        boolean dead = answer.matches("(?s)\\s*\\{\\s*\"errcode\"\\s*:\\s*(40001|40014|42001)\\b.*");
        String other = dead ? replacement(token) : null;
        return other == null ? answer : send(path, body, other);
    }
    private String send(String path, String body, String token) throws IOException, InterruptedException {
        URI uri = URI.create(api + path + (path.contains("?") ? "&" : "?") + "access_token=" + token);
        HttpRequest.Builder request = HttpRequest.newBuilder(uri).header("Content-Type", "application/json");
        if (body != null) request.POST(HttpRequest.BodyPublishers.ofString(body));
        request.timeout(Duration.ofSeconds(10));
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
    }
    private String ask(String what, HttpRequest.Builder request) throws IOException {
        request.uri(URI.create(System.getenv("WXTOKEND_URL") + "/v1/credentials/" + new File(file).getName() + what));
        String bearer = Files.readString(Path.of(System.getenv("WXTOKEND_BEARER_FILE"))).strip();
        request.header("Authorization", "Bearer " + bearer).timeout(Duration.ofSeconds(25));
        try { return http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body(); }
        catch (InterruptedException end) { throw new IOException(end); }
    }
    private String report(String stale) throws IOException {
        String body = "{\"stale\":\"" + stale + "\"}";
        HttpRequest.Builder post = HttpRequest.newBuilder().POST(HttpRequest.BodyPublishers.ofString(body));
        if (System.getenv("WXTOKEND_URL") != null) return ask("/refresh", post);
        String head = "POST /v1/accounts/" + appid + "/refresh HTTP/1.0";
        String request = head + "\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
        try (SocketChannel keeper = SocketChannel.open(UnixDomainSocketAddress.of(socket))) {
            Executor late = CompletableFuture.delayedExecutor(25, TimeUnit.SECONDS); // it may ask WeChat first
            late.execute(new FutureTask<>(() -> { keeper.close(); return null; }));
            Channels.newOutputStream(keeper).write(request.getBytes());
            return new String(Channels.newInputStream(keeper).readAllBytes());
        }
    }
    private String read() throws IOException { // not by Files: its errors do not tell the system's reason
        if (System.getenv("WXTOKEND_URL") != null) return ask("/token", HttpRequest.newBuilder()); // another host's
        try (InputStream text = new FileInputStream(file)) { return new String(text.readAllBytes()); }
    }
    private String field(String name, String json) throws IOException {
        Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"?([^\"\\s,}]+)").matcher(json);
        if (found.find()) return found.group(1);
        throw new IOException("could not use " + file + ", or the answer to a report: it holds no " + name);
    }
}
