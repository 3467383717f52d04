import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

/** Posts the second argument to the first twice on one client: as its default is, with an offer of h2c. */
public class UpgradeOffer {
  public static void main(String[] arguments) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (int turn = 0; turn < 2; turn++) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
          .header("Content-Type", "application/json")
          .POST(BodyPublishers.ofString(arguments[1]))
          .build();
      HttpResponse<String> reply = client.send(request, BodyHandlers.ofString());
      System.out.println(reply.statusCode() + " " + reply.version() + " " + reply.body());
    }
  }
}
