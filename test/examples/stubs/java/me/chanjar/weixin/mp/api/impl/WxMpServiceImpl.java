package me.chanjar.weixin.mp.api.impl;

import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.concurrent.locks.Lock;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import me.chanjar.weixin.common.bean.WxJsapiSignature;
import me.chanjar.weixin.common.enums.TicketType;
import me.chanjar.weixin.mp.config.impl.WxMpDefaultConfigImpl;

/** How WxJava comes to a token, and retries; over java.net.http, and without its many other methods. */
public class WxMpServiceImpl {
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private WxMpDefaultConfigImpl config;

    public WxMpDefaultConfigImpl getWxMpConfigStorage() {
        return config;
    }

    public void setWxMpConfigStorage(WxMpDefaultConfigImpl config) {
        this.config = config;
    }

    public String getAccessToken(boolean forceRefresh) throws Exception {
        if (!forceRefresh && !config.isAccessTokenExpired()) return config.getAccessToken();
        String query = "?grant_type=client_credential&appid=" + config.getAppId() + "&secret=" + config.getSecret();
        String answer = send("GET", System.getenv("WECHAT_API") + "/cgi-bin/token" + query, null);
        Matcher token = Pattern.compile("\"access_token\":\"([^\"]+)\"").matcher(answer);
        if (!token.find()) throw new IllegalStateException(answer);
        config.updateAccessToken(token.group(1), 7200);
        return token.group(1);
    }

    public String execute(String method, String uri, String data) throws Exception {
        return executeInternal(method, uri, data, false);
    }

    private String executeInternal(String method, String uri, String data, boolean doNotAutoRefresh) throws Exception {
        String accessToken = getAccessToken(false);
        String answer = send(method, uri + "&access_token=" + accessToken, data);
        if (!answer.matches("(?s)\\{\"errcode\":(40001|40014|42001),.*")) return answer;
        Lock lock = config.getAccessTokenLock();
        lock.lock();
        try {
            if (config.getAccessToken().equals(accessToken)) config.expireAccessToken();
        } catch (Exception error) {
            config.expireAccessToken();
        } finally {
            lock.unlock();
        }
        if (config.autoRefreshToken() && !doNotAutoRefresh) return executeInternal(method, uri, data, true);
        return answer;
    }

    public String getTicket(TicketType type, boolean forceRefresh) {
        if (forceRefresh) config.expireTicket(type);
        if (config.isTicketExpired(type)) throw new IllegalStateException("the SDK would fetch a ticket");
        return config.getTicket(type);
    }

    public WxJsapiSignature createJsapiSignature(String url) throws Exception {
        long timestamp = System.currentTimeMillis() / 1000;
        String nonce = Long.toHexString(System.nanoTime()), ticket = getTicket(TicketType.JSAPI, false);
        String text = "jsapi_ticket=" + ticket + "&noncestr=" + nonce + "&timestamp=" + timestamp + "&url=" + url;
        byte[] sum = MessageDigest.getInstance("SHA-1").digest(text.getBytes("UTF-8"));
        String signature = String.format("%040x", new BigInteger(1, sum));
        return new WxJsapiSignature(config.getAppId(), nonce, timestamp, url, signature);
    }

    private String send(String method, String url, String data) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
        if (method.equals("POST")) request.POST(HttpRequest.BodyPublishers.ofString(data));
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
    }
}
