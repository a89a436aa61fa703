using System;
using System.Collections.Generic;
using System.Linq;

/// <summary>Answers each line on stdin, in order: see signers.test.ts.</summary>
static class TicketDriver
{
    public static void Run(string appid, string directory)
    {
        var tickets = new WxtokendTickets(appid, directory);
        var keeper = new WxtokendJssdk(appid, directory);
        for (string line; (line = Console.ReadLine()) != null;)
        {
            string answer;
            try { answer = Sign(tickets, keeper, line.Split('\t')); }
            catch (Exception error) { answer = "error " + error.Message; }
            Console.WriteLine(answer);
        }
    }

    static string Sign(WxtokendTickets tickets, WxtokendJssdk keeper, string[] words)
    {
        switch (words[0])
        {
            case "page":
                var page = tickets.Page(words[1], words[2], long.Parse(words[3]));
                return string.Join(" ", page["appId"], page["timestamp"], page["nonceStr"], page["signature"]);
            case "ask":
                return keeper.RequestPage(words[1]);
            case "card":
                var fields = new Dictionary<string, string>
                {
                    ["timestamp"] = words[2], ["nonce_str"] = words[3], ["code"] = words[4],
                };
                return tickets.Card(words[1], fields)["signature"];
            default:
                return WxtokendTickets.Signature(words.Skip(1));
        }
    }
}
