using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;

/// <summary>Answers each line "ID METHOD PATH" on stdin with "ID TAB answer TAB JSON" or "ID TAB error TAB TEXT".</summary>
static class Driver
{
    static void Main(string[] arguments)
    {
        var appid = Environment.GetEnvironmentVariable("WECHAT_APPID");
        var directory = Environment.GetEnvironmentVariable("WXTOKEND_DIRECTORY");
        if (arguments.Contains("tickets"))
        {
            TicketDriver.Run(appid, directory);
            return;
        }
        var wechat = new Wxtokend(appid, directory);
        wechat.Api = Environment.GetEnvironmentVariable("WECHAT_API");
        System.Net.ServicePointManager.DefaultConnectionLimit = 100;
        var running = new List<Task>();
        for (string line; (line = Console.ReadLine()) != null;)
        {
            var words = line.Split(' ');
            running.Add(Task.Run(() => Answer(wechat, appid, words)));
        }
        Task.WaitAll(running.ToArray());
    }

    static async Task Answer(Wxtokend wechat, string appid, string[] words)
    {
        string result;
        try
        {
            var body = words[1] == "POST" ? "{\"name\":\"中文\"}" : null;
            result = "answer\t" + await wechat.Call(words[2] + "?reader=" + appid, body);
        }
        catch (Exception error) { result = "error\t" + error.GetType().Name + ": " + error.Message; }
        Console.WriteLine(words[0] + "\t" + result.Replace('\n', ' '));
    }
}
