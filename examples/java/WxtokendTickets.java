import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.util.*;

/** Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside Wxtokend.java. */
public class WxtokendTickets {
    private final String appid, directory;

    public WxtokendTickets(String appid, String directory) { // "/run/wxtokend"
        this.appid = appid;
        this.directory = directory;
    }
    /** "jsapi" or "card". Read it at every use: it may be another one at any moment. */
    public String ticket(String kind) throws IOException {
        Wxtokend reader = new Wxtokend(appid, directory);
        reader.file = directory + "/wx_" + kind + "_ticket_" + appid;
        return reader.token();
    }
    public Map<String, String> page(String url) throws IOException {
        return page(url, nonce(), System.currentTimeMillis() / 1000);
    }
    /** What wx.config takes. url: location.href.split("#")[0] of the browser. */
    public Map<String, String> page(String url, String nonceStr, long timestamp) throws IOException {
        String address = url.split("#", 2)[0]; // in the signed text the name is noncestr, in wx.config nonceStr
        String text = "jsapi_ticket=" + ticket("jsapi") + "&noncestr=" + nonceStr + "&timestamp=" + timestamp;
        String signature = signature(List.of(text + "&url=" + address));
        return Map.of("appId", appid, "timestamp", "" + timestamp, "nonceStr", nonceStr, "signature", signature);
    }
    /** cardExt of a card. fields: code and openid, if they are used; timestamp and nonce_str are added. */
    public Map<String, String> card(String cardId, Map<String, String> fields) throws IOException {
        Map<String, String> cardExt = new TreeMap<>(fields);
        cardExt.putIfAbsent("timestamp", "" + System.currentTimeMillis() / 1000);
        cardExt.putIfAbsent("nonce_str", nonce());
        List<String> values = new ArrayList<>(cardExt.values());
        Collections.addAll(values, ticket("card"), cardId);
        cardExt.put("signature", signature(values));
        return cardExt;
    }
    /** The SHA-1 of the values, sorted by bytes, as String.compareTo does; a Collator would have another order. */
    public static String signature(Collection<String> values) {
        List<String> sorted = new ArrayList<>(values);
        Collections.sort(sorted);
        try {
            byte[] text = String.join("", sorted).getBytes(StandardCharsets.UTF_8);
            byte[] sum = MessageDigest.getInstance("SHA-1").digest(text);
            return String.format("%040x", new BigInteger(1, sum));
        } catch (NoSuchAlgorithmException problem) { throw new IllegalStateException(problem); }
    }
    private static String nonce() { return String.format("%016x", new SecureRandom().nextLong()); }
}
