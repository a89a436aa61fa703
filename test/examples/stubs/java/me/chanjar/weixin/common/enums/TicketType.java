package me.chanjar.weixin.common.enums;

/** As in WxJava. */
public enum TicketType {
    JSAPI("jsapi"), SDK("2"), WX_CARD("wx_card");

    private final String code;

    TicketType(String code) {
        this.code = code;
    }

    public String getCode() {
        return code;
    }
}
