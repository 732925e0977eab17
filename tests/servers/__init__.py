"""Private MariaDB and RabbitMQ servers, started by the test run itself and gone when it ends."""
