import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT", all at once. */
final class Loop {
    interface Call {
        String answer(String method, String path) throws Exception;
    }

    static final String APPID = System.getenv("WECHAT_APPID");
    static final String DIRECTORY = System.getenv("WXTOKEND_DIRECTORY");
    static final String API = System.getenv("WECHAT_API");

    static void serve(Call call) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] words = line.split(" ");
            threads.submit(() -> {
                String result;
                try {
                    result = "answer\t" + call.answer(words[1], words[2]);
                } catch (Exception error) {
                    result = "error\t" + error;
                }
                System.out.println(words[0] + "\t" + result.replace('\n', ' '));
            });
        }
        threads.shutdown();
    }
}
