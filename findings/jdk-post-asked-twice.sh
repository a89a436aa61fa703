#!/bin/sh
# OpenJDK 17.0.15: HttpURLConnection sends a POST a second time when its answer is lost.
#
# Only what is idempotent may be repeated without asking, and for all a client knows a POST
# is not. But if the server (or a proxy on the way) closes the connection before the first
# byte of an answer, HttpURLConnection sends the same request again, body and all, and the
# program sees one call. Who asks by POST for a new credential, with which the one before
# dies or of which there are 20 a day, has asked for two. java.net.http.HttpClient does not
# do it with POST, but with GET as well.
#
# Seen, requests that arrive: `HttpURLConnection: GET 2, POST 2; HttpClient: GET 2, POST 1`.
# The remedy is `-Dsun.net.http.retryPost=false`, which the page of the class does not name,
# or setFixedLengthStreamingMode(). It needs this version of `java` and `javac`, from
# Debian 12's openjdk-17-jdk-headless.
set -eu
java -version 2>&1 | grep -q '"17\.0\.15"' || { echo "this is no OpenJDK 17.0.15"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >Look.java <<'END'
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.util.concurrent.atomic.AtomicInteger;

public class Look {
	static final AtomicInteger arrived = new AtomicInteger();

	/** Reads a request, and closes the connection instead of an answer. */
	static void serve(ServerSocket server) {
		while (true) {
			try (Socket socket = server.accept()) {
				var in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
				int length = 0;
				for (String line = in.readLine(); line != null && !line.isEmpty(); line = in.readLine())
					if (line.toLowerCase().startsWith("content-length:")) length = Integer.parseInt(line.substring(15).trim());
				for (; length > 0; length -= 1) in.read();
				arrived.incrementAndGet();
			} catch (IOException gone) {
				return;
			}
		}
	}

	interface Ask {
		void run() throws Exception;
	}

	static int requests(Ask ask) throws Exception {
		arrived.set(0);
		try {
			ask.run();
		} catch (IOException lost) {
			return arrived.get();
		}
		throw new IllegalStateException("an answer that nobody gave");
	}

	public static void main(String[] none) throws Exception {
		var server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
		var thread = new Thread(() -> serve(server));
		thread.setDaemon(true);
		thread.start();
		var url = URI.create("http://127.0.0.1:" + server.getLocalPort() + "/");
		var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
		Ask get = () -> ((HttpURLConnection) url.toURL().openConnection()).getResponseCode();
		Ask post = () -> {
			var connection = (HttpURLConnection) url.toURL().openConnection();
			connection.setRequestMethod("POST");
			connection.setDoOutput(true);
			connection.getOutputStream().write("{}".getBytes());
			connection.getResponseCode();
		};
		Ask newGet = () -> client.send(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofString());
		Ask newPost = () -> client.send(
			HttpRequest.newBuilder(url).POST(HttpRequest.BodyPublishers.ofString("{}")).build(),
			HttpResponse.BodyHandlers.ofString());
		System.out.printf("HttpURLConnection: GET %d, POST %d; HttpClient: GET %d, POST %d%n",
			requests(get), requests(post), requests(newGet), requests(newPost));
	}
}
END
seen=$(java Look.java)
echo "$seen"
[ "$seen" = "HttpURLConnection: GET 2, POST 2; HttpClient: GET 2, POST 1" ]
