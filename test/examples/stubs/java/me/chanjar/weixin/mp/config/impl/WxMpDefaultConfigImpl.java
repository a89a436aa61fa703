package me.chanjar.weixin.mp.config.impl;

import java.io.Serializable;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import me.chanjar.weixin.common.bean.WxAccessToken;
import me.chanjar.weixin.common.enums.TicketType;

/** What WxtokendMpService.java needs of WxJava's class, with the same names and types, and no more. */
public class WxMpDefaultConfigImpl implements Serializable {
    protected volatile String appId;
    protected volatile String secret;
    protected volatile String accessToken;
    protected volatile long expiresTime;
    protected volatile Lock accessTokenLock = new ReentrantLock();

    public String getAppId() {
        return appId;
    }

    public void setAppId(String appId) {
        this.appId = appId;
    }

    public String getSecret() {
        return secret;
    }

    public void setSecret(String secret) {
        this.secret = secret;
    }

    public String getAccessToken() {
        return accessToken;
    }

    public Lock getAccessTokenLock() {
        return accessTokenLock;
    }

    public boolean isAccessTokenExpired() {
        return System.currentTimeMillis() > expiresTime;
    }

    public synchronized void updateAccessToken(WxAccessToken accessToken) {
        throw new UnsupportedOperationException();
    }

    public synchronized void updateAccessToken(String accessToken, int expiresInSeconds) {
        this.accessToken = accessToken;
        this.expiresTime = System.currentTimeMillis() + (expiresInSeconds - 200) * 1000L;
    }

    public void expireAccessToken() {
        this.expiresTime = 0;
    }

    public boolean autoRefreshToken() {
        return true;
    }

    public String getTicket(TicketType type) {
        return null;
    }

    public boolean isTicketExpired(TicketType type) {
        return true;
    }

    public void expireTicket(TicketType type) { }

    public void updateTicket(TicketType type, String ticket, int expiresInSeconds) { }
}
