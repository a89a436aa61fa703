package me.chanjar.weixin.common.bean;

/** What is needed of WxJava's class. */
public class WxJsapiSignature {
    private final String appId, nonceStr, url, signature;
    private final long timestamp;

    public WxJsapiSignature(String appId, String nonceStr, long timestamp, String url, String signature) {
        this.appId = appId;
        this.nonceStr = nonceStr;
        this.timestamp = timestamp;
        this.url = url;
        this.signature = signature;
    }

    public String getNonceStr() {
        return nonceStr;
    }

    public long getTimestamp() {
        return timestamp;
    }

    public String getSignature() {
        return signature;
    }
}
