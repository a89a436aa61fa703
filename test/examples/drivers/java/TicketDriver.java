import java.io.*;
import java.util.*;

final class TicketDriver {
    public static void main(String[] arguments) throws IOException {
        Map<String, String> env = System.getenv();
        WxtokendTickets tickets = new WxtokendTickets(env.get("WECHAT_APPID"), env.get("WXTOKEND_DIRECTORY"));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            try {
                System.out.println(sign(tickets, new WxtokendJssdk(env.get("WECHAT_APPID"), env.get("WXTOKEND_DIRECTORY")), line.split("\t")));
            } catch (IOException error) { System.out.println("error " + error.getMessage()); }
        }
    }
    private static String sign(WxtokendTickets tickets, WxtokendJssdk keeper, String[] words) throws IOException {
        switch (words[0]) {
            case "page":
                Map<String, String> page = tickets.page(words[1], words[2], Long.parseLong(words[3]));
                return page.get("appId") + " " + page.get("timestamp") + " " + page.get("nonceStr") + " " + page.get("signature");
            case "ask":
                return keeper.requestPage(words[1]);
            case "card":
                Map<String, String> fields = Map.of("timestamp", words[2], "nonce_str", words[3], "code", words[4]);
                return tickets.card(words[1], fields).get("signature");
            default:
                return WxtokendTickets.signature(Arrays.asList(words).subList(1, words.length));
        }
    }
}
