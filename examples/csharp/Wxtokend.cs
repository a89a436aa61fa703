using System;
using System.IO;
using System.Net.Http;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

/// <summary>Calls WeChat with the token that wxtokend keeps, and never fetches one. .NET Core 2.1+, Mono 6.</summary>
public class Wxtokend {
    static readonly HttpClient Http = new HttpClient { Timeout = TimeSpan.FromSeconds(10) };
    public string AppId, TokenFile, ControlSocket, Api = "https://api.weixin.qq.com";
    /// <summary>Of wxtokend on another host, instead of file and socket.</summary>
    public string Url = Environment.GetEnvironmentVariable("WXTOKEND_URL");

    public Wxtokend(string appid, string directory = "/run/wxtokend") {
        AppId = appid;
        TokenFile = directory + "/wx_access_token_" + appid;
        ControlSocket = directory + "/control.sock";
    }

    /// <summary>Read it before every call: it may be another one at any moment.</summary>
    public string Token() {
        var text = Read();
        if (long.Parse(Field("expire", text)) > DateTimeOffset.UtcNow.ToUnixTimeSeconds()) return Field("value", text);
        throw new IOException("could not use " + TokenFile + ": its token has expired; see wxtokend status");
    }

    /// <summary>The token to use instead of one that WeChat refused; null if there is no other.</summary>
    public async Task<string> Replacement(string stale) {
        try {
            var value = Field("value", Read());
            if (value == stale) value = Field("value", await Task.Run(() => Report(stale)));
            return value == stale ? null : value;
        } catch (Exception) { return null; } // WeChat's own answer tells more than this error
    }

    /// <summary>WeChat's answer to GET, or to POST if there is a JSON body.</summary>
    public async Task<string> Call(string path, string body = null) {
        var token = Token();
        var answer = await Send(path, body, token);
        var dead = Regex.IsMatch(answer, "^\\s*{\\s*\"errcode\"\\s*:\\s*(40001|40014|42001)\\b");
        var other = dead ? await Replacement(token) : null;
        return other == null ? answer : await Send(path, body, other);
    }

    async Task<string> Send(string path, string body, string token) {
        var url = Api + path + (path.Contains("?") ? "&" : "?") + "access_token=" + token;
        var request = body == null ? Http.GetAsync(url)
            : Http.PostAsync(url, new StringContent(body, Encoding.UTF8, "application/json"));
        using (var answer = await request) return await answer.Content.ReadAsStringAsync();
    }

    string Ask(string what, HttpContent body) {
        var address = Url + "/v1/credentials/" + Path.GetFileName(TokenFile) + what;
        var method = body == null ? HttpMethod.Get : HttpMethod.Post;
        var request = new HttpRequestMessage(method, address) { Content = body };
        var bearer = File.ReadAllText(Environment.GetEnvironmentVariable("WXTOKEND_BEARER_FILE")).Trim();
        request.Headers.Add("Authorization", "Bearer " + bearer);
        var asked = Task.Run(async () => await (await Http.SendAsync(request)).Content.ReadAsStringAsync());
        return asked.GetAwaiter().GetResult();
    }

    string Report(string stale) {
        var body = "{\"stale\":\"" + stale + "\"}";
        if (Url != null) return Ask("/refresh", new StringContent(body, Encoding.UTF8, "application/json"));
        var head = "POST /v1/accounts/" + AppId + "/refresh HTTP/1.0\r\nContent-Length: " + body.Length + "\r\n\r\n";
        using (var keeper = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)) {
            keeper.ReceiveTimeout = 25000; // it may ask WeChat before it answers
            keeper.Connect(new UnixDomainSocketEndPoint(ControlSocket));
            keeper.Send(Encoding.ASCII.GetBytes(head + body));
            using (var answer = new StreamReader(new NetworkStream(keeper))) return answer.ReadToEnd();
        }
    }

    string Read() {
        if (Url != null) return Ask("/token", null);
        try { return File.ReadAllText(TokenFile); }
        catch (SystemException why) { throw new IOException("could not use " + TokenFile + ": " + why.Message); }
    }

    string Field(string name, string json) {
        var found = Regex.Match(json, "\"" + name + "\"\\s*:\\s*\"?([^\"\\s,}]+)");
        if (found.Success) return found.Groups[1].Value;
        throw new IOException("could not use " + TokenFile + ", or the answer to a report: it holds no " + name);
    }
}
