// Runs main classes one after another in this JVM, each in a second less than it would take in one of its own.
// A request is a line of base64 words: the class, what it reads from standard input, its arguments. The answer is
// three lines: its exit status, what it wrote to standard output and to standard error, in base64.
// Kafka's programs leave by org.apache.kafka.common.utils.Exit, which can be told what to do then.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import java.util.Base64;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    static class Left extends RuntimeException {}

    static final ByteArrayOutputStream out = new ByteArrayOutputStream();
    static final ByteArrayOutputStream err = new ByteArrayOutputStream();
    static String answer;

    // The first word counts: some programs catch what we throw, and go on to leave again.
    static void leave(int status) {
        if (answer == null) {
            System.out.flush();
            System.err.flush();
            Base64.Encoder encoder = Base64.getEncoder();
            answer = status + "\n" + encoder.encodeToString(out.toByteArray())
                + "\n" + encoder.encodeToString(err.toByteArray());
        }
    }

    static void run(String main, String[] arguments) throws Exception {
        try {
            Class.forName(main).getMethod("main", String[].class).invoke(null, (Object) arguments);
            leave(0);
        } catch (InvocationTargetException exception) {
            if (answer == null) {
                exception.getCause().printStackTrace();
            }
            leave(1);
        }
    }

    public static void main(String[] none) throws Exception {
        Exit.Procedure leaveByThrowing = (status, message) -> {
            if (message != null) {
                System.err.println(message);
            }
            leave(status);
            throw new Left();
        };
        Exit.setExitProcedure(leaveByThrowing);
        Exit.setHaltProcedure(leaveByThrowing);
        Exit.setShutdownHookAdder((name, hook) -> { });
        PrintStream answers = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(new PrintStream(err, true, "UTF-8"));
        for (String line; (line = requests.readLine()) != null; ) {
            String[] words = line.split(" ", -1);
            for (int i = 0; i < words.length; i++) {
                words[i] = new String(Base64.getDecoder().decode(words[i]), "UTF-8");
            }
            out.reset();
            err.reset();
            answer = null;
            System.setIn(new ByteArrayInputStream(words[1].getBytes("UTF-8")));
            run(words[0], Arrays.copyOfRange(words, 2, words.length));
            answers.println(answer);
            answers.flush();
        }
    }
}
