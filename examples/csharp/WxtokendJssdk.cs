using System.IO;
using System.Net.Sockets;
using System.Text;

/// <summary>Lets wxtokend sign pages: the ticket does not leave it. .NET Core 2.1+, Mono 6.</summary>
public class WxtokendJssdk {
    readonly string appid, socket;

    public WxtokendJssdk(string appid, string directory = "/run/wxtokend") {
        this.appid = appid;
        socket = directory + "/control.sock";
    }

    /// <summary>What wx.config takes, as JSON. url: location.href.split("#")[0] of the browser.</summary>
    public string RequestPage(string url) {
        var json = "{\"url\":\"" + url.Replace("\\", "\\\\").Replace("\"", "\\\"") + "\"}";
        var body = Encoding.UTF8.GetBytes(json);
        var head = "POST /v1/accounts/" + appid + "/jssdk HTTP/1.0\r\nContent-Length: " + body.Length + "\r\n\r\n";
        using (var keeper = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)) {
            keeper.ReceiveTimeout = 10000;
            keeper.Connect(new UnixDomainSocketEndPoint(socket));
            keeper.Send(Encoding.UTF8.GetBytes(head));
            keeper.Send(body);
            using (var answer = new StreamReader(new NetworkStream(keeper))) return ContentOf(answer.ReadToEnd());
        }
    }

    static string ContentOf(string answer) {
        var content = answer.Substring(answer.IndexOf("\r\n\r\n", System.StringComparison.Ordinal) + 4);
        if (content.Contains("\"signature\"")) return content;
        throw new IOException("could not sign a page: " + content);
    }
}
