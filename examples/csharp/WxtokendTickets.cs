using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

/// <summary>Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside Wxtokend.cs.</summary>
public class WxtokendTickets {
    readonly string appid, directory;

    public WxtokendTickets(string appid, string directory = "/run/wxtokend") {
        this.appid = appid;
        this.directory = directory;
    }

    /// <summary>"jsapi" or "card". Read it at every use: it may be another one at any moment.</summary>
    public string Ticket(string kind) {
        var file = directory + "/wx_" + kind + "_ticket_" + appid;
        return new Wxtokend(appid, directory) { TokenFile = file }.Token();
    }

    /// <summary>What wx.config takes. url: location.href.split("#")[0] of the browser.</summary>
    public Dictionary<string, object> Page(string url, string nonceStr = null, long? timestamp = null) {
        nonceStr = nonceStr ?? Nonce();
        var seconds = timestamp ?? DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        // In the signed text the name is noncestr, in wx.config nonceStr.
        var text = "jsapi_ticket=" + Ticket("jsapi") + "&noncestr=" + nonceStr + "&timestamp=" + seconds;
        return new Dictionary<string, object> {
            ["appId"] = appid, ["timestamp"] = seconds, ["nonceStr"] = nonceStr,
            ["signature"] = Signature(new[] { text + "&url=" + url.Split('#')[0] }),
        };
    }

    /// <summary>cardExt of a card. fields: code and openid, if used; timestamp and nonce_str are added.</summary>
    public Dictionary<string, string> Card(string cardId, IDictionary<string, string> fields) {
        var cardExt = new Dictionary<string, string>(fields);
        if (!cardExt.ContainsKey("timestamp")) cardExt["timestamp"] = "" + DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        if (!cardExt.ContainsKey("nonce_str")) cardExt["nonce_str"] = Nonce();
        cardExt["signature"] = Signature(cardExt.Values.Concat(new[] { Ticket("card"), cardId }));
        return cardExt;
    }

    /// <summary>The SHA-1 of the values, sorted by bytes: the default order would be that of a language.</summary>
    public static string Signature(IEnumerable<string> values) {
        var text = string.Concat(values.OrderBy(value => value, StringComparer.Ordinal));
        using (var sha1 = SHA1.Create()) return Hex(sha1.ComputeHash(Encoding.UTF8.GetBytes(text)));
    }

    static string Nonce() {
        return Guid.NewGuid().ToString("N").Substring(0, 16);
    }

    static string Hex(byte[] bytes) {
        return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
    }
}
