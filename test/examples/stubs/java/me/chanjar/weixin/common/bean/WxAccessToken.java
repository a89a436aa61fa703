package me.chanjar.weixin.common.bean;

public class WxAccessToken {
}
