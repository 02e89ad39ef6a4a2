import com.couchbase.lite.Array;
import com.couchbase.lite.BasicAuthenticator;
import com.couchbase.lite.Blob;
import com.couchbase.lite.Conflict;
import com.couchbase.lite.CouchbaseLite;
import com.couchbase.lite.CouchbaseLiteException;
import com.couchbase.lite.Database;
import com.couchbase.lite.DatabaseConfiguration;
import com.couchbase.lite.Dictionary;
import com.couchbase.lite.Document;
import com.couchbase.lite.DocumentFlag;
import com.couchbase.lite.LogDomain;
import com.couchbase.lite.LogLevel;
import com.couchbase.lite.Logger;
import com.couchbase.lite.MutableDocument;
import com.couchbase.lite.ReplicatedDocument;
import com.couchbase.lite.Replicator;
import com.couchbase.lite.ReplicatorActivityLevel;
import com.couchbase.lite.ReplicatorConfiguration;
import com.couchbase.lite.ReplicatorStatus;
import com.couchbase.lite.ReplicatorType;
import com.couchbase.lite.Result;
import com.couchbase.lite.URLEndpoint;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * Couchbase Lite as a program: one command per line on standard input, one answer per line on
 * standard output, both JSON objects. {"do": "open", …} is answered by {"ok": true, …} or by
 * {"ok": false, "error": "…"}; a Couchbase Lite error has "domain" and "code" too. Couchbase Lite's
 * log goes to standard error. Driven by tests/interop/couchbase_lite.py, which lists the commands.
 *
 * <p>Bodies travel as JSON text inside a string, so that no JSON library on the way touches a number.
 */
public final class Peer {
  private static final int BUFFER_BYTES = 64 * 1024;

  private final File directory;
  private final Map<String, Database> databases = new HashMap<>();
  private final Map<String, Running> running = new HashMap<>();

  private Peer(File directory) {
    this.directory = directory;
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream answers = new PrintStream(System.out, true, "UTF-8");
    System.setOut(System.err);
    File directory = new File(arguments[0]);
    CouchbaseLite.init(false, directory, new File(directory, "scratch"));
    LogLevel level = LogLevel.valueOf(arguments.length > 1 ? arguments[1] : "WARNING");
    Database.log.getConsole().setLevel(LogLevel.NONE);
    Database.log.setCustom(new StandardError(level));
    Peer peer = new Peer(directory);
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      answers.println(peer.answer(line));
    }
    System.exit(0);
  }

  private String answer(String line) throws JSONException {
    JSONObject answer = new JSONObject();
    try {
      run(new JSONObject(line), answer);
      answer.put("ok", true);
    } catch (CouchbaseLiteException e) {
      answer.put("ok", false).put("error", e.getMessage());
      answer.put("domain", e.getDomain()).put("code", e.getCode());
    } catch (Exception | LinkageError e) {
      answer.put("ok", false).put("error", e.toString());
    }
    return answer.toString();
  }

  private void run(JSONObject command, JSONObject answer) throws Exception {
    switch (command.getString("do")) {
      case "open":
        open(command.getString("db"));
        break;
      case "close":
        databases.remove(command.getString("db")).close();
        break;
      case "blob":
        answer.put("json", blob(command));
        break;
      case "save":
        save(command);
        break;
      case "delete":
        delete(command);
        break;
      case "purge":
        for (String id : strings(command.getJSONArray("ids"))) database(command).purge(id);
        break;
      case "dump":
        answer.put("documents", dump(database(command)));
        break;
      case "count":
        answer.put("count", database(command).getCount());
        break;
      case "start":
        start(command);
        break;
      case "stop":
        running(command).replicator.stop();
        break;
      case "status":
        running(command).tell(answer);
        break;
      case "wait":
        answer.put("reached", running(command).await(command));
        running(command).tell(answer);
        break;
      case "pending":
        answer.put("ids", new JSONArray(running(command).replicator.getPendingDocumentIds()));
        break;
      default:
        throw new IllegalArgumentException("no such command: " + command);
    }
  }

  // --- databases and documents ---

  private Database database(JSONObject command) throws JSONException {
    return databases.get(command.getString("db"));
  }

  private void open(String name) throws CouchbaseLiteException {
    DatabaseConfiguration configuration = new DatabaseConfiguration();
    configuration.setDirectory(directory.getPath());
    databases.put(name, new Database(name, configuration));
  }

  /** Stores {"size", "seed", "type"} as content.py's make_bytes does; returns what names it. */
  private String blob(JSONObject command) throws Exception {
    int size = command.getInt("size");
    int seed = command.getInt("seed");
    byte[] content = new byte[size];
    for (int i = 0; i < size; i++) content[i] = (byte) (seed * 31 + i * 7 + (i >> 8));
    Blob blob = new Blob(command.getString("type"), content);
    database(command).saveBlob(blob);
    return blob.toJSON();
  }

  private void save(JSONObject command) throws Exception {
    Database database = database(command);
    JSONArray documents = command.getJSONArray("documents");
    List<Exception> failed = new ArrayList<>();
    database.inBatch(
        () -> {
          try {
            for (int i = 0; i < documents.length(); i++) {
              JSONObject each = documents.getJSONObject(i);
              String id = each.getString("id");
              Document stored = database.getDocument(id);
              MutableDocument document =
                  stored == null ? new MutableDocument(id) : stored.toMutable();
              document.setJSON(each.getString("json"));
              database.save(document);
            }
          } catch (JSONException | CouchbaseLiteException e) {
            failed.add(e);
          }
        });
    if (!failed.isEmpty()) throw failed.get(0);
  }

  private void delete(JSONObject command) throws Exception {
    Database database = database(command);
    for (String id : strings(command.getJSONArray("ids"))) {
      Document document = database.getDocument(id);
      if (document != null || !command.optBoolean("ifThere")) database.delete(document);
    }
  }

  private static JSONArray dump(Database database) throws Exception {
    List<String> ids = new ArrayList<>();
    for (Result row : database.createQuery("SELECT META().id FROM _").execute()) {
      ids.add(row.getString(0));
    }
    JSONArray documents = new JSONArray();
    for (String id : ids) {
      Document document = database.getDocument(id);
      if (document == null) continue; // Deleted meanwhile.
      Map<String, String> contents = new HashMap<>();
      for (String key : document.getKeys()) digests(document.getValue(key), contents);
      documents.put(
          new JSONObject()
              .put("id", id)
              .put("revision", document.getRevisionID())
              .put("json", document.toJSON())
              .put("blobs", new JSONObject(contents)));
    }
    return documents;
  }

  /** Reads the content of every blob in `value` and notes its SHA-1 under the blob's digest. */
  private static void digests(Object value, Map<String, String> contents) throws Exception {
    if (value instanceof Blob) {
      Blob blob = (Blob) value;
      MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
      byte[] buffer = new byte[BUFFER_BYTES];
      try (InputStream content = blob.getContentStream()) {
        if (content == null) throw new IllegalStateException("no content for " + blob.digest());
        for (int count = content.read(buffer); count > 0; count = content.read(buffer)) {
          sha1.update(buffer, 0, count);
        }
      }
      contents.put(blob.digest(), "sha1-" + Base64.getEncoder().encodeToString(sha1.digest()));
    } else if (value instanceof Dictionary) {
      for (String key : (Dictionary) value) digests(((Dictionary) value).getValue(key), contents);
    } else if (value instanceof Array) {
      Iterator<Object> items = ((Array) value).iterator();
      while (items.hasNext()) digests(items.next(), contents);
    }
  }

  // --- replicators ---

  private Running running(JSONObject command) throws JSONException {
    return running.get(command.getString("replicator"));
  }

  private void start(JSONObject command) throws Exception {
    URLEndpoint target = new URLEndpoint(new URI(command.getString("url")));
    ReplicatorConfiguration configuration =
        new ReplicatorConfiguration(database(command), target)
            .setType(ReplicatorType.valueOf(command.getString("type")))
            .setContinuous(command.optBoolean("continuous"))
            .setMaxAttempts(command.optInt("attempts", 1))
            .setMaxAttemptWaitTime(command.optInt("wait", 1));
    if (command.has("user")) {
      char[] password = command.getString("password").toCharArray();
      configuration.setAuthenticator(
          new BasicAuthenticator(command.getString("user"), password));
    }
    if (command.has("pin")) {
      configuration.setPinnedServerCertificate(
          Base64.getDecoder().decode(command.getString("pin")));
    }
    if (command.has("ids")) {
      configuration.setDocumentIDs(strings(command.getJSONArray("ids")));
    }
    if (command.has("resolver")) {
      String rule = command.getString("resolver");
      configuration.setConflictResolver(conflict -> resolved(rule, conflict));
    }
    if (command.has("pushFilter")) {
      String rule = command.getString("pushFilter");
      configuration.setPushFilter((document, flags) -> passes(rule, document, flags));
    }
    if (command.has("pullFilter")) {
      String rule = command.getString("pullFilter");
      configuration.setPullFilter((document, flags) -> passes(rule, document, flags));
    }
    Running started = new Running(new Replicator(configuration));
    running.put(command.getString("replicator"), started);
    started.replicator.start(command.optBoolean("reset"));
  }

  /** What choices.py's `resolve` does. */
  private static Document resolved(String rule, Conflict conflict) {
    Document local = conflict.getLocalDocument();
    Document remote = conflict.getRemoteDocument();
    switch (rule) {
      case "local":
        return local;
      case "remote":
        return remote;
      case "delete":
        return null;
      case "merge":
        if (local == null || remote == null) return local == null ? remote : local;
        MutableDocument merged = remote.toMutable();
        for (String key : local.getKeys()) merged.setValue(key, local.getValue(key));
        return merged.setBoolean("merged", true);
      default:
        throw new IllegalStateException("no such rule: " + rule);
    }
  }

  /** What choices.py's `passes` does. */
  private static boolean passes(String rule, Document document, EnumSet<DocumentFlag> flags) {
    boolean deleted = flags.contains(DocumentFlag.DELETED);
    if (deleted) return rule.equals("red or deleted");
    return "red".equals(document.getString("colour"));
  }

  private static List<String> strings(JSONArray array) throws JSONException {
    List<String> result = new ArrayList<>();
    for (int i = 0; i < array.length(); i++) result.add(array.getString(i));
    return result;
  }

  /** A replicator, and what it has told of documents. */
  private static final class Running {
    final Replicator replicator;
    private final List<JSONObject> documents = Collections.synchronizedList(new ArrayList<>());

    Running(Replicator replicator) {
      this.replicator = replicator;
      replicator.addDocumentReplicationListener(
          event -> {
            for (ReplicatedDocument each : event.getDocuments()) note(event.isPush(), each);
          });
    }

    private void note(boolean pushed, ReplicatedDocument document) {
      CouchbaseLiteException error = document.getError();
      try {
        JSONObject noted = new JSONObject().put("id", document.getID()).put("pushed", pushed);
        noted.put("flags", document.getFlags().toString());
        if (error != null) noted.put("error", error.getMessage()).put("code", error.getCode());
        documents.add(noted);
      } catch (JSONException e) {
        throw new IllegalStateException(e);
      }
    }

    /** Waits until the activity is that of `command`, or any other than those it wants to see end. */
    boolean await(JSONObject command) throws Exception {
      ReplicatorActivityLevel wanted =
          ReplicatorActivityLevel.valueOf(command.getString("activity"));
      long deadline = System.nanoTime() + (long) (command.getDouble("timeout") * 1e9);
      while (replicator.getStatus().getActivityLevel() != wanted) {
        if (System.nanoTime() > deadline) return false;
        Thread.sleep(2);
      }
      return true;
    }

    void tell(JSONObject answer) throws JSONException {
      ReplicatorStatus status = replicator.getStatus();
      answer.put("activity", status.getActivityLevel().toString());
      answer.put("completed", status.getProgress().getCompleted());
      answer.put("total", status.getProgress().getTotal());
      CouchbaseLiteException error = status.getError();
      if (error != null) {
        JSONObject told = new JSONObject().put("domain", error.getDomain());
        answer.put("failure", told.put("code", error.getCode()).put("message", error.getMessage()));
      }
      synchronized (documents) {
        answer.put("documents", new JSONArray(documents));
      }
    }
  }

  private static final class StandardError implements Logger {
    private final LogLevel level;

    StandardError(LogLevel level) {
      this.level = level;
    }

    @Override
    public LogLevel getLevel() {
      return level;
    }

    @Override
    public void log(LogLevel level, LogDomain domain, String message) {
      System.err.println(level + " " + domain + " " + message);
    }
  }
}
